#include "ops/register_cpu.h"

#include <cstring>

#include "kernels/fill/cpu/fill.h"
#include "kernels/gemm/cpu/gemm.h"
#include "kernels/moe/cpu/exchange.h"
#include "kernels/moe/cpu/moe.h"
#include "kernels/norm/cpu/norm.h"
#include "kernels/quantize/cpu/quantize.h"
#include "kernels/rotary/cpu/rotary.h"
#include "kernels/rows/cpu/rows.h"
#include "ops/fill.h"
#include "ops/gemm.h"
#include "ops/launch_args.h"
#include "ops/moe.h"
#include "ops/norm.h"
#include "ops/quantize.h"
#include "ops/register_attention_cpu.h"
#include "ops/register_fused_cpu.h"
#include "ops/register_sampling_cpu.h"
#include "ops/rotary.h"
#include "ops/rows.h"

namespace braid::ops {
namespace {

using flow::Arg;
using flow::Args;
using flow::Type;
using flow::Workspace;

Status need_equal(std::initializer_list<Type> types) {
  return need_equal_formats("the CPU", types);
}

// The check of a kind whose operands kOperands have one format that the CPU computes on.
template <typename Desc, size_t... kOperands>
Status of_one_format(const Desc& /*desc*/, std::span<const Type> types) {
  return need_equal({types[kOperands]...});
}

// Products take x and w of one format and give that or f32.
template <typename Desc, typename Operand>
Status can_multiply(const Desc& /*desc*/, std::span<const Type> types) {
  const Type &x = types[Operand::x], &y = types[Operand::y];
  TRY(need_equal({x, types[Operand::weight]}));
  return y.format == Format::f32 ? Status() : need_equal({x, y});
}

template <typename Body>
void with_product_types(const Arg& x, const Arg& y, Body&& body) {
  with_type(x.format, [&](auto in) {
    if (y.format == Format::f32) return body(in, float{});
    body(in, in);
  });
}

Status can_gemm(const kernels::GemmDesc& desc, std::span<const Type> types) {
  const Type &norm_weight = types[GemmOperand::norm_weight], &y = types[GemmOperand::y];
  if (norm_weight.cols != 0) TRY(need_equal({types[GemmOperand::x], norm_weight}));
  if (types[GemmOperand::residual].cols != 0) TRY(need_equal({y, types[GemmOperand::residual]}));
  return can_multiply<kernels::GemmDesc, GemmOperand>(desc, types);
}

// Bytes of the normalised x.
int64_t gemm_workspace(const kernels::GemmDesc& /*desc*/, std::span<const Type> types) {
  const Type& x = types[GemmOperand::x];
  return types[GemmOperand::norm_weight].cols == 0 ? 0 : x.rows * x.cols * bytes_of(x.format);
}

void launch_gemm(const kernels::GemmDesc& desc, Args args, Workspace workspace) {
  const Arg &x = args[GemmOperand::x], &w = args[GemmOperand::weight], &y = args[GemmOperand::y];
  const Arg &norm_weight = args[GemmOperand::norm_weight], &residual = args[GemmOperand::residual];
  const int64_t rows = y.live_rows();
  with_product_types(x, y, [&]<typename In, typename Out>(In, Out) {
    kernels::Matrix<const In> in = matrix<const In>(x);
    if (norm_weight.data != nullptr) {
      const kernels::Matrix<In> normed{reinterpret_cast<In*>(workspace.data), x.cols};
      kernels::cpu::rms_norm<In>({.eps = desc.norm_eps}, rows, x.cols, in,
                                 pointer<const In>(norm_weight), normed);
      in = {normed.data, normed.stride};
    }
    kernels::cpu::gemm<In, In, Out>(desc, rows, w.rows / desc.k_slots, x.cols, in,
                                    matrix<const In>(w), pointer<const In>(args[GemmOperand::bias]),
                                    matrix<Out>(y));
    if (residual.data != nullptr) {
      kernels::cpu::add<Out>(rows, y.cols, matrix<const Out>(y), matrix<const Out>(residual),
                             matrix<Out>(y));
    }
  });
}

void launch_grouped_gemm(const kernels::GroupedGemmDesc& desc, Args args, Workspace /*workspace*/) {
  using Operand = GroupedGemmOperand;
  const Arg &x = args[Operand::x], &w = args[Operand::weight], &y = args[Operand::y];
  with_product_types(x, y, [&]<typename In, typename Out>(In, Out) {
    kernels::cpu::grouped_gemm<In, In, Out>(
        desc, w.rows / desc.num_slots, x.cols, matrix<const In>(x),
        pointer<const int32_t>(args[Operand::source]),
        pointer<const int32_t>(args[Operand::offsets]), matrix<const In>(w), matrix<Out>(y));
  });
}

void register_products(flow::LauncherTable& table) {
  using Gemm = kernels::GemmDesc;
  table.add<Gemm>(
      {.can_implement = can_gemm, .workspace_bytes = gemm_workspace, .launch = launch_gemm});
  using Grouped = kernels::GroupedGemmDesc;
  table.add<Grouped>(
      {.can_implement = can_multiply<Grouped, GroupedGemmOperand>, .launch = launch_grouped_gemm});
}

void launch_rms_norm(const kernels::RmsNormDesc& desc, Args args, Workspace /*workspace*/) {
  const Arg &x = args[RmsNormOperand::x], &y = args[RmsNormOperand::y];
  with_type(x.format, [&]<typename T>(T) {
    kernels::cpu::rms_norm<T>(desc, y.live_rows(), x.cols, matrix<const T>(x),
                              pointer<const T>(args[RmsNormOperand::weight]), matrix<T>(y));
  });
}

void launch_rotary_table(const kernels::RotaryTableDesc& desc, Args args, Workspace /*workspace*/) {
  const Arg& table = args[RotaryTableOperand::table];
  kernels::cpu::rotary_table(
      desc, table.rows, table.cols, pointer<const int32_t>(args[RotaryTableOperand::positions]),
      pointer<const float>(args[RotaryTableOperand::inverse_frequencies]), matrix<float>(table));
}

void launch_rotary(const kernels::RotaryDesc& desc, Args args, Workspace /*workspace*/) {
  const Arg& x = args[RotaryOperand::x];
  with_type(x.format, [&]<typename T>(T) {
    kernels::cpu::rotary<T>(desc, x.rows, x.cols, matrix<const float>(args[RotaryOperand::table]),
                            matrix<T>(x));
  });
}

void register_norms(flow::LauncherTable& table) {
  using Norm = kernels::RmsNormDesc;
  table.add<Norm>(
      {.can_implement =
           of_one_format<Norm, RmsNormOperand::x, RmsNormOperand::weight, RmsNormOperand::y>,
       .launch = launch_rms_norm});
  table.add<kernels::RotaryTableDesc>({.launch = launch_rotary_table});
  using Rotary = kernels::RotaryDesc;
  table.add<Rotary>(
      {.can_implement = of_one_format<Rotary, RotaryOperand::x>, .launch = launch_rotary});
}

void launch_route(const RouteDesc& desc, Args args, Workspace workspace) {
  kernels::cpu::route(desc, route_args<RouteOperand>(args), workspace.data);
}

void launch_permute(const kernels::PermuteDesc& desc, Args args, Workspace /*workspace*/) {
  const Arg& ids = args[PermuteOperand::ids];
  kernels::cpu::permute(desc, ids.rows, ids.cols, matrix<const int32_t>(ids),
                        slot_table(args[PermuteOperand::table]),
                        pointer<int32_t>(args[PermuteOperand::offsets]),
                        pointer<int32_t>(args[PermuteOperand::source]),
                        matrix<int32_t>(args[PermuteOperand::places]));
}

void launch_combine(const kernels::CombineDesc& desc, Args args, Workspace /*workspace*/) {
  const Arg &weights = args[CombineOperand::weights], &out = args[CombineOperand::out];
  with_type(out.format, [&]<typename T>(T) {
    kernels::cpu::combine<T>(desc, out.rows, out.cols, weights.cols,
                             matrix<const T>(args[CombineOperand::grouped]),
                             matrix<const int32_t>(args[CombineOperand::places]),
                             matrix<const float>(weights), matrix<T>(out));
  });
}

void launch_experts_down(const kernels::ExpertsDownDesc& desc, Args args, Workspace workspace) {
  with_type(args[ExpertsDownOperand::out].format, [&]<typename T>(T) {
    kernels::cpu::experts_down<T>(desc, experts_down_args<T>(args), workspace.data);
  });
}

void register_moe(flow::LauncherTable& table) {
  table.add<RouteDesc>({.workspace_bytes =
                            [](const RouteDesc& desc, std::span<const Type>) {
                              return kernels::cpu::route_scratch_bytes(desc);
                            },
                        .launch = launch_route});
  table.add<kernels::PermuteDesc>({.launch = launch_permute});
  using Combine = kernels::CombineDesc;
  table.add<Combine>(
      {.can_implement = of_one_format<Combine, CombineOperand::grouped, CombineOperand::out>,
       .launch = launch_combine});
  using Down = kernels::ExpertsDownDesc;
  table.add<Down>(
      {.can_implement = of_one_format<Down, ExpertsDownOperand::x, ExpertsDownOperand::weight,
                                      ExpertsDownOperand::out>,
       .workspace_bytes = experts_down_workspace,
       .launch = launch_experts_down});
}

void launch_rank_order(const kernels::RankOrderDesc& desc, Args args, Workspace /*workspace*/) {
  const Arg& ids = args[RankOrderOperand::ids];
  kernels::cpu::rank_order(desc, ids.rows, ids.cols, matrix<const int32_t>(ids),
                           pointer<int32_t>(args[RankOrderOperand::counts]),
                           pointer<int32_t>(args[RankOrderOperand::source]),
                           matrix<int32_t>(args[RankOrderOperand::places]));
}

void launch_merge_ranks(const kernels::MergeRanksDesc& /*desc*/, Args args,
                        Workspace /*workspace*/) {
  const Arg &places = args[MergeRanksOperand::places], &out = args[MergeRanksOperand::out];
  with_type(out.format, [&]<typename T>(T) {
    kernels::cpu::merge_ranks<T>(out.rows, out.cols, places.cols,
                                 matrix<const T>(args[MergeRanksOperand::back]),
                                 matrix<const int32_t>(places), matrix<T>(out));
  });
}

void register_exchange(flow::LauncherTable& table) {
  table.add<kernels::RankOrderDesc>({.launch = launch_rank_order});
  using Merge = kernels::MergeRanksDesc;
  table.add<Merge>(
      {.can_implement = of_one_format<Merge, MergeRanksOperand::back, MergeRanksOperand::out>,
       .launch = launch_merge_ranks});
}

void launch_quantize(const kernels::QuantizeRowsDesc& desc, Args args, Workspace /*workspace*/) {
  using Operand = QuantizeRowsOperand;
  const Arg& x = args[Operand::x];
  with_type(x.format, [&]<typename T>(T) {
    kernels::cpu::quantize_rows<T>(
        desc, x.rows, x.cols, matrix<const T>(x),
        quantized_rows<uint8_t>(args[Operand::payload], args[Operand::scales]),
        matrix<double>(args[Operand::errors]));
  });
}

void launch_dequantize(const kernels::DequantizeRowsDesc& desc, Args args,
                       Workspace /*workspace*/) {
  using Operand = DequantizeRowsOperand;
  const Arg& out = args[Operand::out];
  with_type(out.format, [&]<typename T>(T) {
    kernels::cpu::dequantize_rows<T>(
        desc, out.rows, out.cols,
        quantized_rows<const uint8_t>(args[Operand::payload], args[Operand::scales]),
        matrix<T>(out));
  });
}

void launch_sum_errors(const kernels::SumErrorsDesc& /*desc*/, Args args, Workspace /*workspace*/) {
  const Arg& errors = args[SumErrorsOperand::errors];
  kernels::cpu::sum_errors(errors.rows, matrix<const double>(errors),
                           matrix<const int32_t>(args[SumErrorsOperand::ids]),
                           pointer<double>(args[SumErrorsOperand::sums]));
}

void register_quantize(flow::LauncherTable& table) {
  using Quantize = kernels::QuantizeRowsDesc;
  table.add<Quantize>({.can_implement = of_one_format<Quantize, QuantizeRowsOperand::x>,
                       .launch = launch_quantize});
  using Dequantize = kernels::DequantizeRowsDesc;
  table.add<Dequantize>({.can_implement = of_one_format<Dequantize, DequantizeRowsOperand::out>,
                         .launch = launch_dequantize});
  table.add<kernels::SumErrorsDesc>({.launch = launch_sum_errors});
}

void launch_gather_rows(const kernels::GatherRowsDesc& desc, Args args, Workspace /*workspace*/) {
  const Arg& out = args[GatherRowsOperand::out];
  with_type(out.format, [&]<typename T>(T) {
    kernels::cpu::gather_rows<T>(
        desc, out.live_rows(), out.cols, matrix<const T>(args[GatherRowsOperand::table]),
        pointer<const int32_t>(args[GatherRowsOperand::index]), matrix<T>(out));
  });
}

void launch_input_ids(const kernels::InputIdsDesc& /*desc*/, Args args, Workspace /*workspace*/) {
  const Arg& out = args[InputIdsOperand::out];
  kernels::cpu::input_ids(out.live_rows(), input_ids_args(args));
}

void launch_join_columns(const kernels::JoinColumnsDesc& desc, Args args, Workspace /*workspace*/) {
  const Arg& out = args[JoinColumnsOperand::out];
  with_type(out.format, [&]<typename T>(T) {
    kernels::cpu::join_columns<T>(desc, out.live_rows(), out.cols, out.rows,
                                  matrix<const T>(args[JoinColumnsOperand::in]), matrix<T>(out));
  });
}

void launch_add(const kernels::AddDesc& /*desc*/, Args args, Workspace /*workspace*/) {
  const Arg& out = args[AddOperand::out];
  with_type(out.format, [&]<typename T>(T) {
    kernels::cpu::add<T>(out.live_rows(), out.cols, matrix<const T>(args[AddOperand::a]),
                         matrix<const T>(args[AddOperand::b]), matrix<T>(out));
  });
}

template <typename Desc>
void launch_copy(const Desc& /*desc*/, Args args, Workspace /*workspace*/) {
  const Arg &from = args[CopyOperand::in], &to = args[CopyOperand::out];
  const auto row_bytes = static_cast<size_t>(from.cols * bytes_of(from.format));
  for (int64_t row = 0; row < from.live_rows(); ++row) {
    std::memcpy(to.row<std::byte>(row), from.row<std::byte>(row), row_bytes);
  }
}

void register_rows(flow::LauncherTable& table) {
  using Gather = kernels::GatherRowsDesc;
  table.add<Gather>(
      {.can_implement = of_one_format<Gather, GatherRowsOperand::table, GatherRowsOperand::out>,
       .launch = launch_gather_rows});
  table.add<kernels::InputIdsDesc>({.launch = launch_input_ids});
  using Join = kernels::JoinColumnsDesc;
  table.add<Join>(
      {.can_implement = of_one_format<Join, JoinColumnsOperand::in, JoinColumnsOperand::out>,
       .launch = launch_join_columns});
  using Add = kernels::AddDesc;
  table.add<Add>(
      {.can_implement = of_one_format<Add, AddOperand::a, AddOperand::b, AddOperand::out>,
       .launch = launch_add});
  table.add<kernels::CopyDesc>({.launch = launch_copy<kernels::CopyDesc>});
  table.add<kernels::ReadBackDesc>({.launch = launch_copy<kernels::ReadBackDesc>});
}

void register_fill(flow::LauncherTable& table) {
  using Desc = kernels::UniformDesc;
  using Operand = FillUniformOperand;
  table.add<Desc>({.can_implement =
                       [](const Desc&, std::span<const Type> types) {
                         return need_equal({types[Operand::out]});
                       },
                   .launch =
                       [](const Desc& desc, Args args, Workspace) {
                         with_type(args[Operand::out].format, [&]<typename T>(T) {
                           kernels::cpu::fill_uniform<T>(desc, args[Operand::out].rows,
                                                         args[Operand::out].cols,
                                                         matrix<T>(args[Operand::out]));
                         });
                       }});
}

}  // namespace

void register_cpu(flow::LauncherTable& table) {
  register_products(table);
  register_norms(table);
  register_attention_cpu(table);
  register_moe(table);
  register_fused_cpu(table);
  register_exchange(table);
  register_quantize(table);
  register_rows(table);
  register_fill(table);
  register_sampling_cpu(table);
}

}  // namespace braid::ops
