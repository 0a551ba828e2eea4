#include "ops/cuda/register_products.h"

#include "device/cuda/cuda_device.h"
#include "device/cuda/cuda_queue.h"
#include "kernels/gemm/cuda/blas_config.h"
#include "kernels/gemm/cuda/gemm.h"
#include "kernels/gemm/cuda/grouped_gemm.h"
#include "ops/gemm.h"

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

// Operands x, weight, bias, y: as Types, or as Args of a launch.
template <typename Operand>
GemmShape gemm_shape(const GemmDesc& desc, std::span<const Operand> operands, bool bias) {
  return {.n = operands[1].rows / desc.k_slots,
          .k = operands[0].cols,
          .in = operands[0].format,
          .out = operands[3].format,
          .bias = bias};
}

Status can_gemm(const GemmDesc& desc, std::span<const Type> types) {
  TRY(need_one_format(types[0], types[1]));
  TRY(need_one_format(types[0], types[2]));
  const GemmShape shape = gemm_shape(desc, types, types[2].cols != 0);
  if (device::CudaDevice::count() == 0) return kernels::cuda::can_gemm(desc, shape);
  return kernels::cuda::prepare_gemm(desc, shape, types[0].rows);
}

int64_t gemm_workspace(const GemmDesc& desc, std::span<const Type> types) {
  const GemmShape shape = gemm_shape(desc, types, types[2].cols != 0);
  return kernels::cuda::gemm_scratch_bytes(desc, shape, types[0].rows);
}

void launch_gemm(const GemmDesc& desc, Args args, Workspace workspace, CudaQueue& queue) {
  const Arg &x = args[0], &w = args[1], &bias = args[2], &y = args[3];
  kernels::cuda::gemm(desc, gemm_shape(desc, args, bias.data != nullptr), y.rows,
                      {.x = x.data,
                       .x_stride = stride(x),
                       .w = w.data,
                       .w_stride = stride(w),
                       .bias = bias.data,
                       .y = y.data,
                       .y_stride = stride(y)},
                      workspace.data, {queue.stream(), queue.blas(), queue.blas_workspace()},
                      desc.spare_sms == 0 ? 0 : queue.num_sms() - desc.spare_sms);
}

// Operands x, source, offsets, weight, y.
template <typename Operand>
GroupedGemmShape grouped_gemm_shape(const GroupedGemmDesc& desc,
                                    std::span<const Operand> operands) {
  return {.n = operands[3].rows / desc.num_slots,
          .k = operands[0].cols,
          .in = operands[0].format,
          .out = operands[4].format};
}

Status can_grouped_gemm(const GroupedGemmDesc& desc, std::span<const Type> types) {
  TRY(need_one_format(types[0], types[3]));
  return kernels::cuda::can_grouped_gemm(desc, grouped_gemm_shape(desc, types));
}

void launch_grouped_gemm(const GroupedGemmDesc& desc, Args args, Workspace /*workspace*/,
                         CudaQueue& queue) {
  const Arg &x = args[0], &source = args[1], &offsets = args[2], &w = args[3], &y = args[4];
  kernels::cuda::grouped_gemm(desc, grouped_gemm_shape(desc, args), y.rows,
                              {.x = x.data,
                               .x_stride = stride(x),
                               .source = reinterpret_cast<const int32_t*>(source.data),
                               .offsets = reinterpret_cast<const int32_t*>(offsets.data),
                               .w = w.data,
                               .w_stride = stride(w),
                               .y = y.data,
                               .y_stride = stride(y)},
                              queue.stream());
}

}  // namespace

void register_products_cuda(flow::LauncherTable& table) {
  table.add<GemmDesc>(flow::QueuedLauncher<GemmDesc, CudaQueue>{
      .can_implement = can_gemm, .workspace_bytes = gemm_workspace, .launch = launch_gemm});
  table.add<GroupedGemmDesc>(flow::QueuedLauncher<GroupedGemmDesc, CudaQueue>{
      .can_implement = can_grouped_gemm, .launch = launch_grouped_gemm});
}

}  // namespace braid::ops
