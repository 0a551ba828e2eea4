#include "ops/cuda/register_route_experts_cuda.h"

#include "device/cuda/cuda_device.h"
#include "kernels/gemm/cuda/gemm.h"
#include "kernels/moe/cuda/moe.h"
#include "kernels/moe/cuda/route_experts.h"
#include "kernels/norm/cuda/norm.h"
#include "ops/cuda/launcher_util.h"
#include "ops/route_experts.h"

namespace braid::ops {
namespace {

using kernels::cuda::GemmShape;
using Operand = RouteExpertsOperand;

int64_t stride(const Arg& arg) { return arg.stride / bytes_of(arg.format); }

// `operands` are Types, or the Args of a launch.
template <typename Any>
GemmShape router_shape(std::span<const Any> operands) {
  return {.n = operands[Operand::router].rows,
          .k = operands[Operand::x].cols,
          .in = operands[Operand::x].format,
          .out = Format::f32};
}

Status can_route(const RouteExpertsDesc& desc, std::span<const Type> types) {
  const Type& x = types[Operand::x];
  if (types[Operand::addend].cols != 0) {
    TRY(need_equal({x, types[Operand::addend], types[Operand::sum]}));
  }
  TRY(need_equal_formats(
      "the GPU", {x, types[Operand::norm_weight], types[Operand::router], types[Operand::normed]}));
  TRY(need_at_most("num_experts", desc.route.num_experts, kernels::cuda::kMaxRouteExperts));
  TRY(need_at_most("top_k", desc.route.top_k, kernels::cuda::kMaxTopK));
  TRY(need_at_most("num_slots", desc.permute.num_slots, kernels::cuda::kMaxPermuteSlots));
  const GemmShape shape = router_shape(types);
  if (device::CudaDevice::count() == 0) return kernels::cuda::can_gemm(desc.router, shape);
  return kernels::cuda::prepare_gemm(desc.router, shape, x.rows);
}

int64_t workspace_bytes(const RouteExpertsDesc& desc, std::span<const Type> types) {
  return kernels::cuda::gemm_scratch_bytes(desc.router, router_shape(types),
                                           types[Operand::x].rows);
}

kernels::cuda::RouteExpertsArgs fused_args(Args args) {
  kernels::cuda::RouteExpertsArgs out;
  out.hidden = args[Operand::x].cols;
  out.x = matrix<const bf16>(args[Operand::x]);
  out.addend = matrix<const bf16>(args[Operand::addend]);
  out.norm_weight = pointer<const bf16>(args[Operand::norm_weight]);
  out.router = matrix<const bf16>(args[Operand::router]);
  out.sum = matrix<bf16>(args[Operand::sum]);
  out.normed = matrix<bf16>(args[Operand::normed]);
  out.logits = matrix<float>(args[Operand::logits]);
  out.route = route_args<Operand>(args);
  out.table = slot_table(args[Operand::table]);
  out.offsets = pointer<int32_t>(args[Operand::offsets]);
  out.source = pointer<int32_t>(args[Operand::source]);
  out.places = matrix<int32_t>(args[Operand::places]);
  return out;
}

template <typename T>
void normalize(const RouteExpertsDesc& desc, Args args, const kernels::cuda::KernelStream& on) {
  const Arg& x = args[Operand::x];
  const auto weight = pointer<const T>(args[Operand::norm_weight]);
  const auto normed = matrix<T>(args[Operand::normed]);
  if (args[Operand::addend].data != nullptr) {
    kernels::cuda::add_rms_norm<T>(desc.norm, {x.rows}, x.cols, matrix<const T>(x),
                                   matrix<const T>(args[Operand::addend]), weight,
                                   matrix<T>(args[Operand::sum]), normed, on);
  } else {
    kernels::cuda::rms_norm<T>({.eps = desc.norm.eps}, {x.rows}, x.cols, matrix<const T>(x), weight,
                               normed, on);
  }
}

// Rows, sizes or formats that the one kernel doesn't take: a kernel for each part.
void launch_parts(const RouteExpertsDesc& desc, Args args, Workspace workspace, CudaQueue& queue) {
  const Arg &router = args[Operand::router], &normed = args[Operand::normed];
  const Arg &logits = args[Operand::logits], &ids = args[Operand::ids];
  with_type(args[Operand::x].format,
            [&]<typename T>(T) { normalize<T>(desc, args, kernel_stream(queue)); });
  kernels::cuda::gemm(desc.router, router_shape(args), normed.rows,
                      {.x = normed.data,
                       .x_stride = stride(normed),
                       .w = router.data,
                       .w_stride = stride(router),
                       .y = logits.data,
                       .y_stride = stride(logits)},
                      workspace.data, {queue.stream(), queue.blas(), queue.blas_workspace()});
  kernels::cuda::route(desc.route, route_args<Operand>(args), queue.stream());
  kernels::cuda::permute(desc.permute, ids.rows, ids.cols, matrix<const int32_t>(ids),
                         slot_table(args[Operand::table]), pointer<int32_t>(args[Operand::offsets]),
                         pointer<int32_t>(args[Operand::source]),
                         matrix<int32_t>(args[Operand::places]), queue.stream());
}

void launch(const RouteExpertsDesc& desc, Args args, Workspace workspace, CudaQueue& queue) {
  if (args[Operand::x].format == Format::bf16) {
    const kernels::cuda::RouteExpertsArgs fused = fused_args(args);
    if (kernels::cuda::can_route_experts(desc, fused)) {
      return kernels::cuda::route_experts(desc, fused, kernel_stream(queue));
    }
  }
  launch_parts(desc, args, workspace, queue);
}

// The one kernel's; of a kernel for each part the first one awaits, and the others are launched
// plainly.
flow::KernelOverlap overlap(const RouteExpertsDesc& /*desc*/, std::span<const Type> /*types*/) {
  flow::KernelOverlap overlap = flow::kAwaits;
  overlap.early_operands = 1u << Operand::router | 1u << Operand::norm_weight | 1u << Operand::bias;
  return overlap;
}

}  // namespace

void register_route_experts_cuda(flow::LauncherTable& table) {
  table.add<RouteExpertsDesc>(Launcher<RouteExpertsDesc>{.can_implement = can_route,
                                                         .workspace_bytes = workspace_bytes,
                                                         .overlap = overlap,
                                                         .launch = launch});
}

}  // namespace braid::ops
