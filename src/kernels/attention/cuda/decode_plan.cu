#include "kernels/attention/cuda/decode_plan.h"

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"

namespace braid::kernels::cuda {
namespace {

constexpr int kThreads = 1024;
static_assert(kShareSizes <= kThreads / kWarp, "a warp counts the shares of one size");

__device__ int32_t length_of(const PagedRows& rows, int64_t row) {
  return rows.sequences[row] < 0 ? 0 : rows.positions[row] + 1;
}

// What shares of 2^size leaves cost; more than anything else where there would be too many.
__device__ int64_t cost_of(const PagedRows& rows, int size, int num_kv_heads, int64_t capacity) {
  int64_t shares = 0;
  int32_t longest = 0;
  for (int64_t row = threadIdx.x % kWarp; row < rows.rows; row += kWarp) {
    const int32_t mine = shares_of(length_of(rows, row), size);
    shares += mine;
    longest = max(longest, mine);
  }
  shares = warp_sum(shares);
  longest = __reduce_max_sync(kAllLanes, longest);
  return shares > capacity ? INT64_MAX : share_cost(shares, longest, size, num_kv_heads);
}

// One block.
__global__ void __launch_bounds__(kThreads)
    plan_shares(PagedRows rows, int num_kv_heads, DecodePlanLayout layout, int32_t* plan) {
  __shared__ int64_t costs[kShareSizes];
  __shared__ int32_t sums[kWarp];
  start_in_turn();
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  if (warp < kShareSizes) {
    const int64_t cost = cost_of(rows, warp, num_kv_heads, layout.capacity);
    if (threadIdx.x % kWarp == 0) costs[warp] = cost;
  }
  for (int64_t i = threadIdx.x; i < rows.rows * num_kv_heads; i += kThreads) {
    plan[layout.arrivals + i] = 0;
  }
  __syncthreads();
  int size = 0;  // the largest of the cheapest
  for (int other = 1; other < kShareSizes; ++other) {
    if (costs[other] <= costs[size]) size = other;
  }

  auto* shares = reinterpret_cast<DecodeShare*>(plan + DecodePlanLayout::kHeaderWords);
  int32_t begin = 0;
  for (int64_t first = 0; first < rows.rows; first += kThreads) {
    const int64_t row = first + threadIdx.x;
    const int32_t length = row < rows.rows ? length_of(rows, row) : 0;
    const int32_t mine = shares_of(length, size);
    int32_t total = 0;
    const int32_t end = begin + block_scan(mine, sums, total);
    for (int32_t i = 0; i < mine; ++i) {
      shares[end - mine + i] = {static_cast<int32_t>(row), i << size, length, rows.sequences[row]};
    }
    begin += total;
    __syncthreads();
  }
  if (threadIdx.x == 0) {
    plan[0] = begin;
    plan[1] = 1 << size;
  }
}

}  // namespace

void plan_decode(const DecodePlanDesc& desc, const PagedRows& rows, int32_t* plan,
                 const KernelStream& stream) {
  const DecodePlanLayout layout(rows.rows, desc.num_kv_heads);
  launch_kernel(stream, {.grid = dim3(1), .block = dim3(kThreads)}, plan_shares, rows,
                desc.num_kv_heads, layout, plan);
}

}  // namespace braid::kernels::cuda
