#include "kernels/cuda/launch.cuh"
#include "kernels/moe/cuda/moe.h"
#include "kernels/moe/cuda/route_block.cuh"

namespace braid::kernels::cuda {
namespace {

constexpr int kWarps = 4;          // of a block whose warps route a row each
constexpr int kRowThreads = 256;   // of a block that routes a row
constexpr int64_t kFewRows = 512;  // which find room on the GPU with a block each

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

__global__ void __launch_bounds__(kRowThreads) route_row(RouteDesc desc, RouteArgs args) {
  __shared__ __align__(16) uint32_t keys[kRowThreads];
  __shared__ float terms[kRowThreads];
  __shared__ uint32_t tops[kRowThreads / kWarp];
  __shared__ int ids[kWarp];
  __shared__ float scores[kWarp];
  extern __shared__ float scratch[];
  start_in_turn();
  const int64_t t = blockIdx.x;
  const float* const logits = args.logits.row(t);
  const int32_t kv_slot = args.slots[t];
  const int thread = static_cast<int>(threadIdx.x);
  const bool chosen = kv_slot >= 0 && routing::choose_by_block(desc, args.bias, logits,
                                                               {terms, keys, tops}, ids, scores);
  __syncthreads();
  if (thread >= kWarp) return;
  const int place = min(thread, desc.top_k - 1);
  routing::finish_row(desc, args, t,
                      chosen ? routing::Chosen{ids[place], scores[place]}
                             : routing::choose_row(desc, args, t, logits, kv_slot, scratch));
}

}  // namespace

void route(const RouteDesc& desc, const RouteArgs& args, const KernelStream& on) {
  if (args.rows == 0) return;
  const size_t shared = routing::route_row_floats(desc) * sizeof(float);
  if (args.rows <= kFewRows && routing::is_plain(desc, args, kRowThreads)) {
    const dim3 blocks(static_cast<unsigned>(args.rows));
    launch_kernel(on, {.grid = blocks, .block = dim3(kRowThreads), .shared_bytes = shared},
                  route_row, desc, args);
  } else {
    const dim3 blocks(static_cast<unsigned>(ceil_div(args.rows, kWarps)));
    launch_kernel(on,
                  {.grid = blocks, .block = dim3(kWarps * kWarp), .shared_bytes = kWarps * shared},
                  route_rows, desc, args);
  }
}

}  // namespace braid::kernels::cuda
