#include "kernels/cuda/launch.cuh"
#include "kernels/moe/cuda/moe.h"
#include "kernels/moe/cuda/route_row.cuh"

namespace braid::kernels::cuda {
namespace {

constexpr int kWarps = 4;  // of a block; each routes a row

__global__ void __launch_bounds__(kWarps* kWarp) route_rows(RouteDesc desc, RouteArgs args) {
  extern __shared__ float shared[];
  start_in_turn();
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int64_t t = int64_t{blockIdx.x} * kWarps + warp;
  if (t >= args.rows) return;
  float* const scratch = shared + warp * routing::route_row_floats(desc);
  routing::finish_row(
      desc, args, t,
      routing::choose_row(desc, args, t, args.logits.row(t), args.slots[t], scratch));
}

}  // namespace

void route(const RouteDesc& desc, const RouteArgs& args, const KernelStream& on) {
  if (args.rows == 0) return;
  const dim3 blocks(static_cast<unsigned>(ceil_div(args.rows, kWarps)));
  const size_t shared = kWarps * routing::route_row_floats(desc) * sizeof(float);
  launch_kernel(on, {.grid = blocks, .block = dim3(kWarps * kWarp), .shared_bytes = shared},
                route_rows, desc, args);
}

}  // namespace braid::kernels::cuda
