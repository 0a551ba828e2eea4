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

// Whether choose_by_block() takes the Desc.
__device__ inline bool is_plain(const RouteDesc& desc, const RouteArgs& args) {
  return desc.choice == Choice::router && args.forced.data == nullptr && desc.num_groups == 1 &&
         desc.num_experts <= static_cast<int>(blockDim.x);
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

// How many of the keys are higher, or as high and of a lower index.
__device__ inline int rank_by_block(const uint32_t* keys, int count, uint32_t key) {
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  int rank = 0;
  for (int w = 0; w * kWarp < count; ++w) {
    const auto* const fours = reinterpret_cast<const uint4*>(keys + w * kWarp);
    // Equal keys count where they stand before this one.
    const int before = w < warp ? kWarp : w == warp ? lane : 0;
#pragma unroll
    for (int i = 0; i < kWarp / 4; ++i) {
      const uint4 four = fours[i];
      rank += four.x + (4 * i < before) > key;
      rank += four.y + (4 * i + 1 < before) > key;
      rank += four.z + (4 * i + 2 < before) > key;
      rank += four.w + (4 * i + 3 < before) > key;
    }
  }
  return rank;
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
  if (!mine) return true;
  const int rank = rank_by_block(scratch.keys, count, key);
  if (rank < desc.top_k) {
    ids[rank] = e;
    scores[rank] = score;
  }
  return true;
}

}  // namespace braid::kernels::cuda::routing
