#include <algorithm>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/moe/cuda/exchange.h"

namespace braid::kernels::cuda {
namespace {

constexpr int kThreads = 1024;
constexpr int kWarps = kThreads / kWarp;

struct Order {
  RankOrderDesc desc;
  int rows;
  int top_k;
  int stretch;  // rows of a warp, a multiple of kWarp
  int sends;    // entries of source
  Matrix<const int32_t> ids;
  int32_t* counts;
  int32_t* source;
  Matrix<int32_t> places;
};

// Bit r: rank r holds one of the row's experts.
__device__ uint32_t ranks_of_row(const Order& order, int row) {
  uint32_t ranks = 0;
  const int32_t* ids = order.ids.row(row);
  for (int k = 0; k < order.top_k; ++k) {
    const int32_t id = ids[k];
    if (id < 0) continue;
    const int32_t rank = id / order.desc.experts_per_rank;
    if (rank < order.desc.ranks) ranks |= 1u << rank;
  }
  return ranks;
}

// Calls body(row, ranks) for the rows of this warp, one a lane; lanes behind the last have none.
template <typename Body>
__device__ void for_rows_of_warp(const Order& order, Body body) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int first = static_cast<int>(threadIdx.x) / kWarp * order.stretch;
  const int end = min(first + order.stretch, order.rows);
  for (int base = first; base < end; base += kWarp) {
    const int row = base + lane;
    body(row, row < end ? ranks_of_row(order, row) : 0u);
  }
}

// One block. Every warp has a stretch of the rows in their order, and lane r of it counts those for
// rank r; with the counts of the warps before and of the ranks before, it then places them.
__global__ void __launch_bounds__(kThreads) order_rows(Order order) {
  start_in_turn();
  __shared__ int32_t counts[kWarps][kWarp];  // [warp, rank]: rows, then those of the warps before
  __shared__ int32_t total;
  const auto thread = static_cast<int>(threadIdx.x);
  const int lane = thread % kWarp;
  const int warp = thread / kWarp;
  const int ranks = order.desc.ranks;

  int32_t mine = 0;
  for_rows_of_warp(order, [&](int, uint32_t of_row) {
    for (int r = 0; r < ranks; ++r) {
      const uint32_t here = __ballot_sync(kAllLanes, (of_row >> r & 1u) != 0);
      if (lane == r) mine += __popc(here);
    }
  });
  counts[warp][lane] = mine;
  __syncthreads();

  if (warp == 0) {  // lane r: rank r
    int32_t all = 0;
    for (int w = 0; w < kWarps; ++w) {
      const int32_t count = counts[w][lane];
      counts[w][lane] = all;
      all += count;
    }
    const int32_t end = warp_scan(all);
    for (int w = 0; w < kWarps; ++w) counts[w][lane] += end - all;  // the ranks before, too
    if (lane < ranks) order.counts[lane] = all;
    if (lane == kWarp - 1) total = end;
  }
  __syncthreads();

  int32_t next = counts[warp][lane];
  for_rows_of_warp(order, [&](int row, uint32_t of_row) {
    for (int r = 0; r < ranks; ++r) {
      const bool goes = (of_row >> r & 1u) != 0;
      const uint32_t here = __ballot_sync(kAllLanes, goes);
      const int32_t place = __shfl_sync(kAllLanes, next, r) + __popc(here & ((1u << lane) - 1u));
      if (lane == r) next += __popc(here);
      if (row < order.rows) order.places.row(row)[r] = goes ? place : -1;
      if (goes) order.source[place] = row;
    }
  });
  for (int i = total + thread; i < order.sends; i += kThreads) order.source[i] = -1;
}

constexpr int kBatch = 4;  // rows that a thread loads at once

template <typename T>
struct Merge {
  int64_t cols;
  int ranks;
  Matrix<const T> from;
  Matrix<const int32_t> places;
  Matrix<T> out;
};

// One block a row. Sums begin with −0: −0 + x is x, whatever the sign of x.
template <bool kPacked, typename T>
__global__ void __launch_bounds__(1024) merge_rows(Merge<T> merge) {
  start_in_turn();
  const int64_t row = blockIdx.x;
  const int32_t* places = merge.places.row(row);
  for (int64_t i = threadIdx.x * kPack; i < merge.cols; i += blockDim.x * kPack) {
    float sums[kPack];
#pragma unroll
    for (int j = 0; j < kPack; ++j) sums[j] = -0.0f;
    for (int first = 0; first < merge.ranks; first += kBatch) {
      Pack<T> packs[kBatch];
#pragma unroll
      for (int b = 0; b < kBatch; ++b) {
        packs[b] = Pack<T>{};  // +0 where the rank has no row
        const int32_t place = first + b < merge.ranks ? places[first + b] : -1;
        if (place >= 0) packs[b] = load_pack<kPacked>(merge.from.row(place) + i, merge.cols - i);
      }
#pragma unroll
      for (int b = 0; b < kBatch; ++b) {
        if (first + b >= merge.ranks) continue;
#pragma unroll
        for (int j = 0; j < kPack; ++j) {
          sums[j] = __fadd_rn(sums[j], widen(packs[b].values[j]));
        }
      }
    }
    Pack<T> total;
#pragma unroll
    for (int j = 0; j < kPack; ++j) total.values[j] = narrow<T>(sums[j]);
    store_pack<kPacked>(merge.out.row(row) + i, merge.cols - i, total);
  }
}

}  // namespace

void rank_order(const RankOrderDesc& desc, int64_t rows, int64_t top_k, Matrix<const int32_t> ids,
                int32_t* counts, int32_t* source, Matrix<int32_t> places, const KernelStream& on) {
  const Order order{desc,
                    static_cast<int>(rows),
                    static_cast<int>(top_k),
                    static_cast<int>(ceil_div(rows, kThreads)) * kWarp,
                    static_cast<int>(most_sends(rows, top_k, desc.ranks)),
                    ids,
                    counts,
                    source,
                    places};
  launch_kernel(on, {1, kThreads}, order_rows, order);
}

template <typename T>
void merge_ranks(int64_t rows, int64_t cols, int64_t ranks, Matrix<const T> from,
                 Matrix<const int32_t> places, Matrix<T> out, const KernelStream& on) {
  const Merge<T> merge{cols, static_cast<int>(ranks), from, places, out};
  const auto blocks = static_cast<unsigned>(rows);
  if (blocks == 0 || cols == 0) return;
  const int64_t packs = ceil_div(cols, kPack * kWarp) * kWarp;
  const auto threads = static_cast<unsigned>(std::min<int64_t>(packs, 1024));
  if (is_packed(cols, from) && is_packed(cols, out)) {
    launch_kernel(on, {blocks, threads}, merge_rows<true, T>, merge);
  } else {
    launch_kernel(on, {blocks, threads}, merge_rows<false, T>, merge);
  }
}

template void merge_ranks(int64_t, int64_t, int64_t, Matrix<const float>, Matrix<const int32_t>,
                          Matrix<float>, const KernelStream&);
template void merge_ranks(int64_t, int64_t, int64_t, Matrix<const bf16>, Matrix<const int32_t>,
                          Matrix<bf16>, const KernelStream&);

}  // namespace braid::kernels::cuda
