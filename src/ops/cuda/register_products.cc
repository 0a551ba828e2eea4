#include "ops/cuda/register_products.h"

#include "device/cuda/cuda_device.h"
#include "device/cuda/cuda_queue.h"
#include "kernels/gemm/cuda/blas_config.h"
#include "kernels/gemm/cuda/gemm.h"
#include "kernels/gemm/cuda/grouped_gemm.h"
#include "ops/cuda/kernel_stream.h"
#include "ops/gemm.h"
#include "ops/launch_args.h"

namespace braid::ops {
namespace {

using device::CudaQueue;
using flow::Arg;
using flow::Args;
using flow::Type;
using flow::Workspace;
using kernels::GemmDesc;
using kernels::GroupedGemmDesc;
using kernels::cuda::GemmShape;
using kernels::cuda::GroupedGemmShape;

static_assert(CudaQueue::kBlasWorkspaceBytes >= kernels::cuda::kBlasWorkspaceBytes,
              "algorithms are chosen for the workspace that a queue has");

int64_t stride(const Arg& arg) { return arg.stride / bytes_of(arg.format); }

Status need_one_format(const Type& x, const Type& other) {
  if (other.cols == 0 || other.format == x.format) return {};
  return Error(ErrorKind::unsupported, "the GPU's products take x, W and bias of one format")
      .with("x", name_of(x.format))
      .with("other", name_of(other.format));
}

// `operands` are Types, or the Args of a launch.
template <typename Operand>
GemmShape gemm_shape(const GemmDesc& desc, std::span<const Operand> operands) {
  return {.n = operands[GemmOperand::weight].rows / desc.k_slots,
          .k = operands[GemmOperand::x].cols,
          .in = operands[GemmOperand::x].format,
          .out = operands[GemmOperand::y].format,
          .bias = operands[GemmOperand::bias].cols != 0,
          .norm = operands[GemmOperand::norm_weight].cols != 0,
          .residual = operands[GemmOperand::residual].cols != 0};
}

Status can_gemm(const GemmDesc& desc, std::span<const Type> types) {
  const Type& x = types[GemmOperand::x];
  TRY(need_one_format(x, types[GemmOperand::weight]));
  TRY(need_one_format(x, types[GemmOperand::bias]));
  TRY(need_one_format(x, types[GemmOperand::norm_weight]));
  TRY(need_one_format(types[GemmOperand::y], types[GemmOperand::residual]));
  const GemmShape shape = gemm_shape(desc, types);
  if (device::CudaDevice::count() == 0) return kernels::cuda::can_gemm(desc, shape);
  return kernels::cuda::prepare_gemm(desc, shape, x.rows);
}

int64_t gemm_workspace(const GemmDesc& desc, std::span<const Type> types) {
  return kernels::cuda::gemm_scratch_bytes(desc, gemm_shape(desc, types),
                                           types[GemmOperand::x].rows);
}

void launch_gemm(const GemmDesc& desc, Args args, Workspace workspace, CudaQueue& queue) {
  const Arg &x = args[GemmOperand::x], &w = args[GemmOperand::weight];
  const Arg &residual = args[GemmOperand::residual], &y = args[GemmOperand::y];
  kernels::cuda::gemm(desc, gemm_shape(desc, args), y.rows,
                      {.x = x.data,
                       .x_stride = stride(x),
                       .w = w.data,
                       .w_stride = stride(w),
                       .bias = args[GemmOperand::bias].data,
                       .y = y.data,
                       .y_stride = stride(y),
                       .norm_weight = args[GemmOperand::norm_weight].data,
                       .residual = residual.data,
                       .residual_stride = residual.data == nullptr ? 0 : stride(residual)},
                      workspace.data, {kernel_stream(queue), queue.blas(), queue.blas_workspace()},
                      desc.spare_sms == 0 ? 0 : queue.num_sms() - desc.spare_sms);
}

flow::KernelOverlap gemm_overlap(const GemmDesc& desc, std::span<const Type> types) {
  const auto overlap =
      kernels::cuda::gemm_overlap(desc, gemm_shape(desc, types), types[GemmOperand::x].rows);
  constexpr uint32_t kWeights = 1u << GemmOperand::weight | 1u << GemmOperand::norm_weight;
  return {.can_be_followed = true,
          .awaits_predecessor = overlap.follows,
          .early_operands = overlap.reads_early ? kWeights : 0};
}

// `operands` are Types, or the Args of a launch.
template <typename Operand>
GroupedGemmShape grouped_gemm_shape(const GroupedGemmDesc& desc,
                                    std::span<const Operand> operands) {
  return {.n = operands[GroupedGemmOperand::weight].rows / desc.num_slots,
          .k = operands[GroupedGemmOperand::x].cols,
          .in = operands[GroupedGemmOperand::x].format,
          .out = operands[GroupedGemmOperand::y].format};
}

Status can_grouped_gemm(const GroupedGemmDesc& desc, std::span<const Type> types) {
  TRY(need_one_format(types[GroupedGemmOperand::x], types[GroupedGemmOperand::weight]));
  return kernels::cuda::can_grouped_gemm(desc, grouped_gemm_shape(desc, types));
}

void launch_grouped_gemm(const GroupedGemmDesc& desc, Args args, Workspace /*workspace*/,
                         CudaQueue& queue) {
  using Operand = GroupedGemmOperand;
  const Arg &x = args[Operand::x], &w = args[Operand::weight], &y = args[Operand::y];
  kernels::cuda::grouped_gemm(desc, grouped_gemm_shape(desc, args), y.rows,
                              {.x = x.data,
                               .x_stride = stride(x),
                               .source = pointer<const int32_t>(args[Operand::source]),
                               .offsets = pointer<const int32_t>(args[Operand::offsets]),
                               .w = w.data,
                               .w_stride = stride(w),
                               .y = y.data,
                               .y_stride = stride(y)},
                              kernel_stream(queue));
}

flow::KernelOverlap grouped_overlap(const GroupedGemmDesc& desc, std::span<const Type> types) {
  flow::KernelOverlap overlap = flow::kAwaits;
  overlap.releases_late = kernels::cuda::releases_late(desc, grouped_gemm_shape(desc, types));
  return overlap;
}

}  // namespace

void register_products_cuda(flow::LauncherTable& table) {
  table.add<GemmDesc>(flow::QueuedLauncher<GemmDesc, CudaQueue>{.can_implement = can_gemm,
                                                                .workspace_bytes = gemm_workspace,
                                                                .overlap = gemm_overlap,
                                                                .launch = launch_gemm});
  table.add<GroupedGemmDesc>(
      flow::QueuedLauncher<GroupedGemmDesc, CudaQueue>{.can_implement = can_grouped_gemm,
                                                       .overlap = grouped_overlap,
                                                       .launch = launch_grouped_gemm});
}

}  // namespace braid::ops
