// The common choice of one row, the best of all experts by their scores, by a whole block of at
// least as many threads as there are experts: the bits of choose_row(), sooner.
#pragma once

#include "kernels/moe/cuda/route_row.cuh"

namespace braid::kernels::cuda::routing {

// Shared memory of one row's choice.
struct BlockScratch {
  float* terms;    // [E]
  uint32_t* keys;  // [E rounded up to whole warps], on 16 bytes
  uint32_t* tops;  // [warps of the block]
};

// Whether choose_by_block() takes the Desc in a block of so many threads.
constexpr bool is_plain(const RouteDesc& desc, const RouteArgs& args, int threads) {
  return desc.choice == Choice::router && args.forced.data == nullptr && desc.num_groups == 1 &&
         desc.num_experts <= threads;
}

// The score of expert `thread`.
__device__ inline float score_by_block(const RouteDesc& desc, const float* logits,
                                       const BlockScratch& scratch) {
  const int e = static_cast<int>(threadIdx.x), count = desc.num_experts;
  const float logit = e < count ? logits[e] : -kInfinity;
  if (desc.score == Score::sigmoid) return sigmoid(logit);
  if (desc.score == Score::softmax_of_topk) return logit;
  const uint32_t top = __reduce_max_sync(kAllLanes, key_of_value(logit));
  if (e % kWarp == 0) scratch.tops[e / kWarp] = top;
  __syncthreads();
  uint32_t best = 0;
  for (int w = 0; w * kWarp < count; ++w) best = max(best, scratch.tops[w]);
  const float first = logits[0];  // a NaN there makes all NaN
  const float term = exp(__fsub_rn(logit, isnan(first) ? first : value_of_key(best)));
  if (e < count) scratch.terms[e] = term;
  __syncthreads();
  const float sum = sum_terms<8>(count, [&](int i) { return scratch.terms[min(i, count - 1)]; });
  return __fdiv_rn(term, sum);
}

// How many of four keys are above `limit`, added to four sums that don't wait for each other.
__device__ inline void count_above(const uint32_t* keys, uint32_t limit, int (&counts)[4]) {
  const uint4 four = *reinterpret_cast<const uint4*>(keys);
  counts[0] += four.x > limit;
  counts[1] += four.y > limit;
  counts[2] += four.z > limit;
  counts[3] += four.w > limit;
}

// How many of the keys are higher, or as high and of a lower index: `key` is that of index thread.
__device__ inline int rank_by_block(const uint32_t* keys, int count, uint32_t key) {
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  int counts[4] = {};
  for (int w = 0; w * kWarp < count; ++w) {
    if (w == warp) continue;
    const uint32_t limit = w < warp ? key - 1 : key;  // no key is 0
#pragma unroll
    for (int i = 0; i < kWarp; i += 4) count_above(keys + w * kWarp + i, limit, counts);
  }
  // Those of this warp are in its lanes' registers, too.
  const auto before = static_cast<int>(threadIdx.x) % kWarp;
#pragma unroll 8
  for (int lane = 0; lane < kWarp; ++lane) {
    const uint32_t other = __shfl_sync(kAllLanes, key, lane);
    counts[lane % 4] += other > (lane < before ? key - 1 : key);
  }
  return counts[0] + counts[1] + counts[2] + counts[3];
}

// Writes the experts of places 0 … top_k − 1 and their scores. False, with nothing written, where a
// NaN is among the scores: that is choose_row()'s. A barrier of the block stands before and behind.
__device__ inline bool choose_by_block(const RouteDesc& desc, const float* bias,
                                       const float* logits, const BlockScratch& scratch, int* ids,
                                       float* scores) {
  const int e = static_cast<int>(threadIdx.x), count = desc.num_experts;
  const bool mine = e < count;
  const float score = score_by_block(desc, logits, scratch);
  const float selection = bias == nullptr || !mine ? score : __fadd_rn(score, bias[e]);
  const uint32_t key = mine ? key_of_value(selection) : 0;
  if (e < (count + kWarp - 1) / kWarp * kWarp) scratch.keys[e] = key;
  if (__syncthreads_or(mine && isnan(selection))) return false;
  if (e / kWarp * kWarp >= count) return true;
  const int rank = rank_by_block(scratch.keys, count, key);
  if (mine && rank < desc.top_k) {
    ids[rank] = e;
    scores[rank] = score;
  }
  return true;
}

}  // namespace braid::kernels::cuda::routing
