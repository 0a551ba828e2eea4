// The most likely ids of a row of logits, found by one block of kThreads threads: the highest one,
// or the next kChunk in order.
#pragma once

#include "kernels/cuda/device.cuh"
#include "kernels/sample/sample_desc.h"

namespace braid::kernels::cuda {

inline constexpr int kThreads = 1024;
inline constexpr int kWarps = kThreads / kWarp;
inline constexpr int kChunk = kThreads;  // one sorted id a thread
inline constexpr int kDigitBits = 10;
inline constexpr int kBins = 1 << kDigitBits;
inline constexpr int kRankBits = 50;  // of a Rank: the logit's 32, the id's 18
inline constexpr int kIdBits = 18;
static_assert(kRankBits % kDigitBits == 0);
static_assert(kBins == kThreads);
inline constexpr float kInfinity = __builtin_huge_valf();

// Where an id stands: a lower Rank is a higher logit or, of equals, a lower id. Ids that can't be
// drawn have kNoRank.
using Rank = uint64_t;
inline constexpr Rank kNoRank = ~Rank{0};

__device__ inline Rank rank_of(float logit, int id) {
  const uint32_t bits = __float_as_uint(logit == 0 ? 0.0f : logit);
  const uint32_t descending = bits >> 31 != 0 ? bits : ~bits & 0x7fffffffu;
  return static_cast<Rank>(descending) << kIdBits | static_cast<Rank>(id);
}
__device__ inline int id_of(Rank rank) { return static_cast<int>(rank & ((1u << kIdBits) - 1)); }

// A weight in units of 2^-45 of the highest: sums are exact in any order.
using Mass = uint64_t;
inline constexpr float kMassUnit = 0x1p45f;
__device__ inline Mass mass_of(float weight) {
  return weight > 0 ? static_cast<Mass>(__fmul_rn(weight, kMassUnit)) : 0;
}

struct Shared {
  uint32_t bins[kBins];
  Rank ranks[kChunk];
  Mass masses[kWarp];
  uint32_t counts[kWarp];
  float values[kWarp];
  int ids[kWarp];
  uint32_t size;  // of `ranks`
  Rank bound;
  uint32_t below;
  uint32_t inside;
  Mass mass;
  int found;
};

// The lowest id of the highest logit; kNoChoice where there is NaN, +infinity, or −infinity alone.
__device__ inline int highest(const float* logits, int count, Shared& shared) {
  float value = -kInfinity;
  int best = 0x7fffffff;
  bool odd = false;
  for (int i = static_cast<int>(threadIdx.x); i < count; i += kThreads) {
    odd |= !(logits[i] < kInfinity);
    if (logits[i] > value) {
      value = logits[i];
      best = i;
    }
  }
  const auto reduce = [&value, &best] {
#pragma unroll
    for (int step = kWarp / 2; step > 0; step /= 2) {
      const float other = __shfl_xor_sync(kAllLanes, value, step);
      const int other_best = __shfl_xor_sync(kAllLanes, best, step);
      if (other > value || (other == value && other_best < best)) {
        value = other;
        best = other_best;
      }
    }
  };
  reduce();
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  if (lane == 0) {
    shared.values[threadIdx.x / kWarp] = value;
    shared.ids[threadIdx.x / kWarp] = best;
  }
  if (__syncthreads_or(odd)) return kNoChoice;
  value = shared.values[lane];
  best = shared.ids[lane];
  reduce();
  return best < count ? best : kNoChoice;
}

// One digit of the search in select(): among the ranks that agree with `bound` above this digit and
// are at least `from`, the digit's value in which the `count`-th lies goes into `bound`, how many
// have a lower one into `below`, how many this one into `inside`. Returns how many agree.
template <typename Row>
__device__ uint32_t select_digit(const Row& row, Rank from, int shift, uint32_t count,
                                 Shared& shared) {
  const Rank bound = shared.bound;
  shared.bins[threadIdx.x] = 0;
  __syncthreads();
  for (int id = static_cast<int>(threadIdx.x); id < row.vocab_size; id += kThreads) {
    const Rank rank = row.rank(id);
    if (rank == kNoRank || rank < from) continue;
    if (rank >> (shift + kDigitBits) != bound >> (shift + kDigitBits)) continue;
    atomicAdd(&shared.bins[rank >> shift & (kBins - 1)], 1u);
  }
  __syncthreads();
  const uint32_t bin = shared.bins[threadIdx.x];
  uint32_t total = 0;
  const uint32_t up_to = block_scan(bin, shared.counts, total);
  if (up_to - bin < count && count <= up_to) {
    shared.bound = bound | static_cast<Rank>(threadIdx.x) << shift;
    shared.below = up_to - bin;
    shared.inside = bin;
  }
  __syncthreads();
  return total;
}

// Sorts shared.ranks, one a thread, by a bitonic network.
__device__ inline void sort_ranks(Shared& shared) {
  const unsigned i = threadIdx.x;
  for (unsigned width = 2; width <= kChunk; width *= 2) {
    for (unsigned step = width / 2; step > 0; step /= 2) {
      const unsigned other = i ^ step;
      if (i < other) {
        const Rank a = shared.ranks[i];
        const Rank b = shared.ranks[other];
        if ((a > b) == ((i & width) == 0)) {
          shared.ranks[i] = b;
          shared.ranks[other] = a;
        }
      }
      __syncthreads();
    }
  }
}

// shared.ranks = the lowest `most` ≤ kChunk ranks from `from` on, in order; how many there are. A
// Row has rank(id) for its vocab_size ids.
template <typename Row>
__device__ uint32_t select(const Row& row, Rank from, uint32_t most, Shared& shared) {
  if (threadIdx.x == 0) {
    shared.size = 0;
    shared.bound = 0;
  }
  shared.ranks[threadIdx.x] = kNoRank;
  __syncthreads();
  Rank bound = kNoRank - 1;  // of the ranks that are taken
  uint32_t left = most;
  for (int shift = kRankBits - kDigitBits; shift >= 0; shift -= kDigitBits) {
    if (select_digit(row, from, shift, left, shared) < left) break;  // at first only: all of them
    left -= shared.below;
    bound = shared.bound | ((Rank{1} << shift) - 1);
    if (left == shared.inside) break;
  }
  for (int id = static_cast<int>(threadIdx.x); id < row.vocab_size; id += kThreads) {
    const Rank rank = row.rank(id);
    if (rank >= from && rank <= bound) shared.ranks[atomicAdd(&shared.size, 1u)] = rank;
  }
  __syncthreads();
  sort_ranks(shared);
  return shared.size;
}

}  // namespace braid::kernels::cuda
