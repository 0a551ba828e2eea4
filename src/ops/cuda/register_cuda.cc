#include "ops/cuda/register_cuda.h"

#include "kernels/fill/cuda/fill.h"
#include "kernels/norm/cuda/norm.h"
#include "kernels/quantize/cuda/quantize.h"
#include "kernels/rotary/cuda/rotary.h"
#include "kernels/rows/cuda/rows.h"
#include "ops/cuda/launcher_util.h"
#include "ops/cuda/register_attention.h"
#include "ops/cuda/register_moe_cuda.h"
#include "ops/cuda/register_products.h"
#include "ops/cuda/register_route_experts_cuda.h"
#include "ops/cuda/register_sampling_cuda.h"
#include "ops/fill.h"
#include "ops/norm.h"
#include "ops/quantize.h"
#include "ops/rotary.h"
#include "ops/rows.h"

namespace braid::ops {
namespace {

using kernels::cuda::Rows;

Rows rows(const Arg& arg) { return {arg.rows, arg.first_row, arg.count}; }

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
  kernels::cuda::input_ids(rows(args[InputIdsOperand::out]), input_ids_args(args),
                           kernel_stream(queue));
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

}  // namespace

void register_cuda(flow::LauncherTable& table) {
  register_products_cuda(table);
  register_norms(table);
  register_attention_cuda(table);
  register_moe_cuda(table);
  register_route_experts_cuda(table);
  register_quantize(table);
  register_rows(table);
  register_fill(table);
  register_sampling_cuda(table);
}

}  // namespace braid::ops
