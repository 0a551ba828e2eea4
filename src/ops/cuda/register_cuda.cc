#include "ops/cuda/register_cuda.h"

#include "device/cuda/cuda_queue.h"
#include "kernels/fill/cuda/fill.h"
#include "kernels/moe/cuda/exchange.h"
#include "kernels/moe/cuda/experts_down.h"
#include "kernels/moe/cuda/moe.h"
#include "kernels/norm/cuda/norm.h"
#include "kernels/quantize/cuda/quantize.h"
#include "kernels/rotary/cuda/rotary.h"
#include "kernels/rows/cuda/rows.h"
#include "kernels/sample/cuda/sample.h"
#include "ops/cuda/kernel_stream.h"
#include "ops/cuda/register_attention.h"
#include "ops/cuda/register_products.h"
#include "ops/cuda/register_route_experts_cuda.h"
#include "ops/fill.h"
#include "ops/launch_args.h"
#include "ops/moe.h"
#include "ops/norm.h"
#include "ops/quantize.h"
#include "ops/rotary.h"
#include "ops/rows.h"
#include "ops/sample.h"

namespace braid::ops {
namespace {

using device::CudaQueue;
using flow::Arg;
using flow::Args;
using flow::Type;
using flow::Workspace;
using kernels::cuda::Rows;

template <typename Desc>
using Launcher = flow::QueuedLauncher<Desc, CudaQueue>;

Rows rows(const Arg& arg) { return {arg.rows, arg.first_row, arg.count}; }

Status need_equal(std::initializer_list<Type> types) {
  return need_equal_formats("the GPU", types);
}

// The check of a kind whose operands kOperands have one format that the GPU computes on.
template <typename Desc, size_t... kOperands>
Status of_one_format(const Desc& /*desc*/, std::span<const Type> types) {
  return need_equal({types[kOperands]...});
}

Status need_at_most(std::string_view what, int64_t value, int64_t most) {
  if (value <= most) return {};
  return Error(ErrorKind::unsupported, "more than the GPU's kernel takes")
      .with("of", what)
      .with("value", value)
      .with("at most", most);
}

void launch_rms_norm(const kernels::RmsNormDesc& desc, Args args, Workspace /*workspace*/,
                     CudaQueue& queue) {
  const Arg &x = args[RmsNormOperand::x], &y = args[RmsNormOperand::y];
  with_type(x.format, [&]<typename T>(T) {
    kernels::cuda::rms_norm<T>(desc, rows(y), x.cols, matrix<const T>(x),
                               pointer<const T>(args[RmsNormOperand::weight]), matrix<T>(y),
                               kernel_stream(queue));
  });
}

void launch_add_rms_norm(const kernels::AddRmsNormDesc& desc, Args args, Workspace /*workspace*/,
                         CudaQueue& queue) {
  using Operand = AddRmsNormOperand;
  const Arg& sum = args[Operand::sum];
  with_type(sum.format, [&]<typename T>(T) {
    kernels::cuda::add_rms_norm<T>(desc, rows(sum), sum.cols, matrix<const T>(args[Operand::a]),
                                   matrix<const T>(args[Operand::b]),
                                   pointer<const T>(args[Operand::weight]), matrix<T>(sum),
                                   matrix<T>(args[Operand::y]), kernel_stream(queue));
  });
}

void launch_rotary_table(const kernels::RotaryTableDesc& desc, Args args, Workspace /*workspace*/,
                         CudaQueue& queue) {
  const Arg& table = args[RotaryTableOperand::table];
  kernels::cuda::rotary_table(desc, table.rows, table.cols,
                              pointer<const int32_t>(args[RotaryTableOperand::positions]),
                              pointer<const float>(args[RotaryTableOperand::inverse_frequencies]),
                              matrix<float>(table), kernel_stream(queue));
}

void launch_rotary(const kernels::RotaryDesc& desc, Args args, Workspace /*workspace*/,
                   CudaQueue& queue) {
  const Arg& x = args[RotaryOperand::x];
  with_type(x.format, [&]<typename T>(T) {
    kernels::cuda::rotary<T>(desc, x.rows, x.cols, matrix<const float>(args[RotaryOperand::table]),
                             matrix<T>(x), kernel_stream(queue));
  });
}

void register_norms(flow::LauncherTable& table) {
  using Norm = kernels::RmsNormDesc;
  table.add<Norm>(Launcher<Norm>{
      .can_implement =
          of_one_format<Norm, RmsNormOperand::x, RmsNormOperand::weight, RmsNormOperand::y>,
      .overlap = flow::awaits<Norm>,
      .launch = launch_rms_norm});
  using AddNorm = kernels::AddRmsNormDesc;
  table.add<AddNorm>(Launcher<AddNorm>{
      .can_implement =
          of_one_format<AddNorm, AddRmsNormOperand::a, AddRmsNormOperand::b,
                        AddRmsNormOperand::weight, AddRmsNormOperand::sum, AddRmsNormOperand::y>,
      .overlap = flow::awaits<AddNorm>,
      .launch = launch_add_rms_norm});
  using Table = kernels::RotaryTableDesc;
  table.add<Table>(Launcher<Table>{.overlap = flow::awaits<Table>, .launch = launch_rotary_table});
  using Rotary = kernels::RotaryDesc;
  table.add<Rotary>(Launcher<Rotary>{.can_implement = of_one_format<Rotary, RotaryOperand::x>,
                                     .overlap = flow::awaits<Rotary>,
                                     .launch = launch_rotary});
}

Status can_route(const RouteDesc& desc, std::span<const Type> /*types*/) {
  TRY(need_at_most("num_experts", desc.num_experts, kernels::cuda::kMaxRouteExperts));
  return need_at_most("top_k", desc.top_k, kernels::cuda::kMaxTopK);
}

void launch_route(const RouteDesc& desc, Args args, Workspace /*workspace*/, CudaQueue& queue) {
  kernels::cuda::route(desc, route_args<RouteOperand>(args), kernel_stream(queue));
}

Status can_permute(const kernels::PermuteDesc& desc, std::span<const Type> /*types*/) {
  return need_at_most("num_slots", desc.num_slots, kernels::cuda::kMaxPermuteSlots);
}

void launch_permute(const kernels::PermuteDesc& desc, Args args, Workspace /*workspace*/,
                    CudaQueue& queue) {
  const Arg& ids = args[PermuteOperand::ids];
  kernels::cuda::permute(desc, ids.rows, ids.cols, matrix<const int32_t>(ids),
                         slot_table(args[PermuteOperand::table]),
                         pointer<int32_t>(args[PermuteOperand::offsets]),
                         pointer<int32_t>(args[PermuteOperand::source]),
                         matrix<int32_t>(args[PermuteOperand::places]), kernel_stream(queue));
}

void launch_combine(const kernels::CombineDesc& desc, Args args, Workspace /*workspace*/,
                    CudaQueue& queue) {
  const Arg &weights = args[CombineOperand::weights], &out = args[CombineOperand::out];
  with_type(out.format, [&]<typename T>(T) {
    kernels::cuda::combine<T>(desc, out.rows, out.cols, weights.cols,
                              matrix<const T>(args[CombineOperand::grouped]),
                              matrix<const int32_t>(args[CombineOperand::places]),
                              matrix<const float>(weights), matrix<T>(out), kernel_stream(queue));
  });
}

Status can_experts_down(const kernels::ExpertsDownDesc& desc, std::span<const Type> types) {
  const Type& out = types[ExpertsDownOperand::out];
  TRY(need_equal({types[ExpertsDownOperand::x], types[ExpertsDownOperand::weight], out}));
  return kernels::cuda::can_experts_down(
      desc,
      {.n = out.cols, .k = types[ExpertsDownOperand::x].cols, .in = out.format, .out = out.format});
}

// What it reads early is made by the router and the permutation, and weights.
flow::KernelOverlap experts_down_overlap(const kernels::ExpertsDownDesc& /*desc*/,
                                         std::span<const Type> /*types*/) {
  flow::KernelOverlap overlap = flow::kAwaits;
  for (const size_t operand : {ExpertsDownOperand::weight, ExpertsDownOperand::offsets,
                               ExpertsDownOperand::places, ExpertsDownOperand::weights}) {
    overlap.early_operands |= 1u << operand;
  }
  return overlap;
}

void launch_experts_down(const kernels::ExpertsDownDesc& desc, Args args, Workspace workspace,
                         CudaQueue& queue) {
  kernels::cuda::experts_down(desc, experts_down_args<bf16>(args), workspace.data,
                              kernel_stream(queue));
}

void register_moe(flow::LauncherTable& table) {
  table.add<RouteDesc>(Launcher<RouteDesc>{
      .can_implement = can_route, .overlap = flow::awaits<RouteDesc>, .launch = launch_route});
  using Permute = kernels::PermuteDesc;
  table.add<Permute>(Launcher<Permute>{
      .can_implement = can_permute, .overlap = flow::awaits<Permute>, .launch = launch_permute});
  using Combine = kernels::CombineDesc;
  table.add<Combine>(Launcher<Combine>{
      .can_implement = of_one_format<Combine, CombineOperand::grouped, CombineOperand::out>,
      .overlap = flow::awaits<Combine>,
      .launch = launch_combine});
  using Down = kernels::ExpertsDownDesc;
  table.add<Down>(Launcher<Down>{.can_implement = can_experts_down,
                                 .workspace_bytes = experts_down_workspace,
                                 .overlap = experts_down_overlap,
                                 .launch = launch_experts_down});
}

Status can_order(const kernels::RankOrderDesc& desc, std::span<const Type> /*types*/) {
  return need_at_most("ranks", desc.ranks, kernels::cuda::kMaxExchangeRanks);
}

void launch_rank_order(const kernels::RankOrderDesc& desc, Args args, Workspace /*workspace*/,
                       CudaQueue& queue) {
  const Arg& ids = args[RankOrderOperand::ids];
  kernels::cuda::rank_order(desc, ids.rows, ids.cols, matrix<const int32_t>(ids),
                            pointer<int32_t>(args[RankOrderOperand::counts]),
                            pointer<int32_t>(args[RankOrderOperand::source]),
                            matrix<int32_t>(args[RankOrderOperand::places]), kernel_stream(queue));
}

void launch_merge_ranks(const kernels::MergeRanksDesc& /*desc*/, Args args, Workspace /*workspace*/,
                        CudaQueue& queue) {
  const Arg &places = args[MergeRanksOperand::places], &out = args[MergeRanksOperand::out];
  with_type(out.format, [&]<typename T>(T) {
    kernels::cuda::merge_ranks<T>(
        out.rows, out.cols, places.cols, matrix<const T>(args[MergeRanksOperand::back]),
        matrix<const int32_t>(places), matrix<T>(out), kernel_stream(queue));
  });
}

void register_exchange(flow::LauncherTable& table) {
  using Order = kernels::RankOrderDesc;
  table.add<Order>(Launcher<Order>{
      .can_implement = can_order, .overlap = flow::awaits<Order>, .launch = launch_rank_order});
  using Merge = kernels::MergeRanksDesc;
  table.add<Merge>(Launcher<Merge>{
      .can_implement = of_one_format<Merge, MergeRanksOperand::back, MergeRanksOperand::out>,
      .overlap = flow::awaits<Merge>,
      .launch = launch_merge_ranks});
}

void launch_quantize(const kernels::QuantizeRowsDesc& desc, Args args, Workspace /*workspace*/,
                     CudaQueue& queue) {
  using Operand = QuantizeRowsOperand;
  const Arg& x = args[Operand::x];
  with_type(x.format, [&]<typename T>(T) {
    kernels::cuda::quantize_rows<T>(
        desc, x.rows, x.cols, matrix<const T>(x),
        quantized_rows<uint8_t>(args[Operand::payload], args[Operand::scales]),
        matrix<double>(args[Operand::errors]), kernel_stream(queue));
  });
}

void launch_dequantize(const kernels::DequantizeRowsDesc& desc, Args args, Workspace /*workspace*/,
                       CudaQueue& queue) {
  using Operand = DequantizeRowsOperand;
  const Arg& out = args[Operand::out];
  with_type(out.format, [&]<typename T>(T) {
    kernels::cuda::dequantize_rows<T>(
        desc, out.rows, out.cols,
        quantized_rows<const uint8_t>(args[Operand::payload], args[Operand::scales]),
        matrix<T>(out), kernel_stream(queue));
  });
}

void launch_sum_errors(const kernels::SumErrorsDesc& /*desc*/, Args args, Workspace /*workspace*/,
                       CudaQueue& queue) {
  const Arg& errors = args[SumErrorsOperand::errors];
  kernels::cuda::sum_errors(errors.rows, matrix<const double>(errors),
                            matrix<const int32_t>(args[SumErrorsOperand::ids]),
                            pointer<double>(args[SumErrorsOperand::sums]), kernel_stream(queue));
}

void register_quantize(flow::LauncherTable& table) {
  using Quantize = kernels::QuantizeRowsDesc;
  table.add<Quantize>(
      Launcher<Quantize>{.can_implement = of_one_format<Quantize, QuantizeRowsOperand::x>,
                         .overlap = flow::awaits<Quantize>,
                         .launch = launch_quantize});
  using Dequantize = kernels::DequantizeRowsDesc;
  table.add<Dequantize>(
      Launcher<Dequantize>{.can_implement = of_one_format<Dequantize, DequantizeRowsOperand::out>,
                           .overlap = flow::awaits<Dequantize>,
                           .launch = launch_dequantize});
  using Sum = kernels::SumErrorsDesc;
  table.add<Sum>(Launcher<Sum>{.overlap = flow::awaits<Sum>, .launch = launch_sum_errors});
}

void launch_gather_rows(const kernels::GatherRowsDesc& desc, Args args, Workspace /*workspace*/,
                        CudaQueue& queue) {
  const Arg& out = args[GatherRowsOperand::out];
  with_type(out.format, [&]<typename T>(T) {
    kernels::cuda::gather_rows<T>(desc, rows(out), out.cols,
                                  matrix<const T>(args[GatherRowsOperand::table]),
                                  pointer<const int32_t>(args[GatherRowsOperand::index]),
                                  matrix<T>(out), kernel_stream(queue));
  });
}

void launch_input_ids(const kernels::InputIdsDesc& /*desc*/, Args args, Workspace /*workspace*/,
                      CudaQueue& queue) {
  using Operand = InputIdsOperand;
  kernels::cuda::input_ids(rows(args[Operand::out]), pointer<const int32_t>(args[Operand::given]),
                           pointer<const int32_t>(args[Operand::source]),
                           pointer<const int32_t>(args[Operand::sampled]),
                           pointer<int32_t>(args[Operand::out]), kernel_stream(queue));
}

void launch_join_columns(const kernels::JoinColumnsDesc& desc, Args args, Workspace /*workspace*/,
                         CudaQueue& queue) {
  const Arg& out = args[JoinColumnsOperand::out];
  with_type(out.format, [&]<typename T>(T) {
    kernels::cuda::join_columns<T>(desc, rows(out), out.cols, out.rows,
                                   matrix<const T>(args[JoinColumnsOperand::in]), matrix<T>(out),
                                   kernel_stream(queue));
  });
}

void launch_add(const kernels::AddDesc& /*desc*/, Args args, Workspace /*workspace*/,
                CudaQueue& queue) {
  const Arg& out = args[AddOperand::out];
  with_type(out.format, [&]<typename T>(T) {
    kernels::cuda::add<T>(rows(out), out.cols, matrix<const T>(args[AddOperand::a]),
                          matrix<const T>(args[AddOperand::b]), matrix<T>(out),
                          kernel_stream(queue));
  });
}

// Copies all rows, because the copy engines do not know how many of them are real.
template <typename Desc>
void launch_copy(const Desc& /*desc*/, Args args, Workspace /*workspace*/, CudaQueue& queue) {
  const Arg &from = args[CopyOperand::in], &to = args[CopyOperand::out];
  kernels::cuda::copy_rows(from.rows, from.cols * bytes_of(from.format), from.data, from.stride,
                           to.data, to.stride, queue.stream());
}

void register_rows(flow::LauncherTable& table) {
  using Gather = kernels::GatherRowsDesc;
  table.add<Gather>(Launcher<Gather>{
      .can_implement = of_one_format<Gather, GatherRowsOperand::table, GatherRowsOperand::out>,
      .overlap = flow::awaits<Gather>,
      .launch = launch_gather_rows});
  using Ids = kernels::InputIdsDesc;
  table.add<Ids>(Launcher<Ids>{.overlap = flow::awaits<Ids>, .launch = launch_input_ids});
  using Join = kernels::JoinColumnsDesc;
  table.add<Join>(Launcher<Join>{
      .can_implement = of_one_format<Join, JoinColumnsOperand::in, JoinColumnsOperand::out>,
      .overlap = flow::awaits<Join>,
      .launch = launch_join_columns});
  using Add = kernels::AddDesc;
  table.add<Add>(Launcher<Add>{
      .can_implement = of_one_format<Add, AddOperand::a, AddOperand::b, AddOperand::out>,
      .overlap = flow::awaits<Add>,
      .launch = launch_add});
  using Copy = kernels::CopyDesc;
  table.add<Copy>(Launcher<Copy>{.launch = launch_copy<Copy>});
  using ReadBack = kernels::ReadBackDesc;
  table.add<ReadBack>(Launcher<ReadBack>{.launch = launch_copy<ReadBack>});
}

Status can_sample(const kernels::SampleDesc& /*desc*/, std::span<const Type> types) {
  return need_at_most("vocabulary", types[SampleOperand::logits].cols,
                      kernels::cuda::kMaxVocabSize);
}

void launch_sample(const kernels::SampleDesc& /*desc*/, Args args, Workspace /*workspace*/,
                   CudaQueue& queue) {
  using Operand = SampleOperand;
  const Arg& logits = args[Operand::logits];
  kernels::cuda::sample(rows(logits), logits.cols,
                        {.logits = matrix<const float>(logits),
                         .temperature = matrix<const float>(args[Operand::temperature]),
                         .top_p = matrix<const float>(args[Operand::top_p]),
                         .top_k = matrix<const int32_t>(args[Operand::top_k]),
                         .seed = matrix<const uint64_t>(args[Operand::seed]),
                         .position = matrix<const int32_t>(args[Operand::position]),
                         .ids = matrix<int32_t>(args[Operand::ids])},
                        kernel_stream(queue));
}

void register_fill(flow::LauncherTable& table) {
  using Desc = kernels::UniformDesc;
  using Operand = FillUniformOperand;
  table.add<Desc>(Launcher<Desc>{.can_implement =
                                     [](const Desc&, std::span<const Type> types) {
                                       return need_equal({types[Operand::out]});
                                     },
                                 .launch =
                                     [](const Desc& desc, Args args, Workspace, CudaQueue& queue) {
                                       with_type(args[Operand::out].format, [&]<typename T>(T) {
                                         kernels::cuda::fill_uniform<T>(
                                             desc, args[Operand::out].rows, args[Operand::out].cols,
                                             matrix<T>(args[Operand::out]), queue.stream());
                                       });
                                     }});
}

void register_sample(flow::LauncherTable& table) {
  using Sample = kernels::SampleDesc;
  table.add<Sample>(Launcher<Sample>{
      .can_implement = can_sample, .overlap = flow::awaits<Sample>, .launch = launch_sample});
}

}  // namespace

void register_cuda(flow::LauncherTable& table) {
  register_products_cuda(table);
  register_norms(table);
  register_attention_cuda(table);
  register_moe(table);
  register_route_experts_cuda(table);
  register_exchange(table);
  register_quantize(table);
  register_rows(table);
  register_fill(table);
  register_sample(table);
}

}  // namespace braid::ops
