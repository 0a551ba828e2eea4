// The most likely ids of a row of logits, found by a cluster of blocks, each with a stretch of the
// ids: the highest one, or the next kChunk in order. Sums are of integers, so that neither the
// number of blocks nor the order of anything changes what is found.
//
// For log probabilities; what draws (sample.cu) looks for levels of likelihood beside.
//
// A Row has `logits`, the block's ids `first` to `last` − 1, and rank(id).
#pragma once

#include <cooperative_groups.h>

#include "kernels/cuda/device.cuh"
#include "kernels/sample/sample_desc.h"

namespace braid::kernels::cuda {

namespace cg = cooperative_groups;

inline constexpr float kInfinity = __builtin_huge_valf();
inline constexpr unsigned kMaxBlocks = 8;  // of a row: what every cluster may have
inline constexpr int kThreads = 1024;
inline constexpr int kWarps = kThreads / kWarp;
inline constexpr int kChunk = kThreads;  // one sorted id a thread
inline constexpr int kDigitBits = 10;
inline constexpr int kBins = 1 << kDigitBits;
inline constexpr int kRankBits = 50;  // of a Rank: the logit's 32, the id's 18
inline constexpr int kIdBits = 18;
static_assert(kRankBits % kDigitBits == 0);
static_assert(kBins == kThreads);

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
  uint64_t tops[kWarp];
  uint32_t size;  // of `ranks`
  Rank bound;
  uint32_t below;
  uint32_t inside;
  // What other blocks read.
  uint64_t top;
  Mass mass;
  int found;
};

// Σ value over the blocks before this one, and over all; the value is this block's `member`, which
// its first thread has written. All blocks have read it when sum_over() returns.
struct Sums {
  Mass before = 0;
  Mass all = 0;
};
__device__ inline Sums sum_over(const cg::cluster_group& cluster, Shared& shared) {
  cluster.sync();
  Sums sums;
  for (unsigned b = 0; b < cluster.num_blocks(); ++b) {
    const Mass of_block = cluster.map_shared_rank(&shared, b)->mass;
    if (b < cluster.block_rank()) sums.before += of_block;
    sums.all += of_block;
  }
  cluster.sync();
  return sums;
}

// A logit and its id as one number: higher for a higher logit or, of equals, for a lower id. 0 for
// −infinity, kOddTop for NaN and +infinity, which no choice can be made from.
inline constexpr uint64_t kOddTop = ~uint64_t{0};
__device__ inline uint64_t top_of(float logit, int id) {
  if (!(logit < kInfinity)) return kOddTop;
  if (logit == -kInfinity) return 0;
  const uint32_t bits = __float_as_uint(__fadd_rn(logit, 0.0f));  // zeros of either sign are equal
  const uint32_t ascending = bits >> 31 != 0 ? ~bits : bits | 0x80000000u;
  return uint64_t{ascending} << 32 | static_cast<uint32_t>(~id);
}

__device__ inline uint64_t highest_top(uint64_t top) {
#pragma unroll
  for (int step = kWarp / 2; step > 0; step /= 2) {
    top = max(top, static_cast<uint64_t>(__shfl_xor_sync(kAllLanes, top, step)));
  }
  return top;
}

// The highest of this block's logits.
template <typename Row>
__device__ uint64_t highest_of_block(const Row& row, bool packed, Shared& shared) {
  uint64_t top = 0;
  const int thread = static_cast<int>(threadIdx.x);
  if (packed) {
#pragma unroll 4
    for (int id = row.first + 4 * thread; id < row.last; id += 4 * kThreads) {
      const float4 four = *reinterpret_cast<const float4*>(row.logits + id);
      top = max(max(top, top_of(four.x, id)), top_of(four.y, id + 1));
      top = max(max(top, top_of(four.z, id + 2)), top_of(four.w, id + 3));
    }
  } else {
    for (int id = row.first + thread; id < row.last; id += kThreads) {
      top = max(top, top_of(row.logits[id], id));
    }
  }
  top = highest_top(top);
  if (thread % kWarp == 0) shared.tops[thread / kWarp] = top;
  __syncthreads();
  return highest_top(shared.tops[thread % kWarp]);
}

// The lowest id of the highest logit; kNoChoice where there is NaN or +infinity, or −infinity
// alone.
template <typename Row>
__device__ int highest(const Row& row, bool packed, const cg::cluster_group& cluster,
                       Shared& shared) {
  const uint64_t of_block = highest_of_block(row, packed, shared);
  if (threadIdx.x == 0) shared.top = of_block;
  cluster.sync();
  uint64_t top = 0;
  for (unsigned b = 0; b < cluster.num_blocks(); ++b) {
    top = max(top, cluster.map_shared_rank(&shared, b)->top);
  }
  return top == 0 || top == kOddTop ? kNoChoice : static_cast<int>(~static_cast<uint32_t>(top));
}

// One digit of the search in select(): among the ranks that agree with `bound` above this digit and
// are at least `from`, the digit's value in which the `count`-th lies goes into `bound`, how many
// have a lower one into `below`, how many this one into `inside`. Returns how many agree.
template <typename Row>
__device__ uint32_t select_digit(const Row& row, Rank from, int shift, uint32_t count,
                                 const cg::cluster_group& cluster, Shared& shared) {
  const Rank bound = shared.bound;
  shared.bins[threadIdx.x] = 0;
  __syncthreads();
  for (int id = row.first + static_cast<int>(threadIdx.x); id < row.last; id += kThreads) {
    const Rank rank = row.rank(id);
    if (rank == kNoRank || rank < from) continue;
    if (rank >> (shift + kDigitBits) != bound >> (shift + kDigitBits)) continue;
    atomicAdd(&shared.bins[rank >> shift & (kBins - 1)], 1u);
  }
  cluster.sync();
  uint32_t bin = 0;
  for (unsigned b = 0; b < cluster.num_blocks(); ++b) {
    bin += cluster.map_shared_rank(&shared, b)->bins[threadIdx.x];
  }
  uint32_t total = 0;
  const uint32_t up_to = block_scan(bin, shared.counts, total);
  if (up_to - bin < count && count <= up_to) {
    shared.bound = bound | static_cast<Rank>(threadIdx.x) << shift;
    shared.below = up_to - bin;
    shared.inside = bin;
  }
  cluster.sync();  // all have read the bins
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

// The first block's shared.ranks = the lowest `most` ≤ kChunk ranks from `from` on, in order, and
// its shared.size how many there are.
template <typename Row>
__device__ void select(const Row& row, Rank from, uint32_t most, const cg::cluster_group& cluster,
                       Shared& shared) {
  if (threadIdx.x == 0) {
    shared.size = 0;
    shared.bound = 0;
  }
  shared.ranks[threadIdx.x] = kNoRank;
  __syncthreads();
  Rank bound = kNoRank - 1;  // of the ranks that are taken
  uint32_t left = most;
  for (int shift = kRankBits - kDigitBits; shift >= 0; shift -= kDigitBits) {
    // At first only: all of them.
    if (select_digit(row, from, shift, left, cluster, shared) < left) break;
    left -= shared.below;
    bound = shared.bound | ((Rank{1} << shift) - 1);
    if (left == shared.inside) break;
  }
  Shared& first = *cluster.map_shared_rank(&shared, 0);
  for (int id = row.first + static_cast<int>(threadIdx.x); id < row.last; id += kThreads) {
    const Rank rank = row.rank(id);
    if (rank >= from && rank <= bound) first.ranks[atomicAdd(&first.size, 1u)] = rank;
  }
  cluster.sync();
  if (cluster.block_rank() == 0) sort_ranks(shared);
}

// So many blocks a row that the clusters of all rows find room at once: not every SM has one that
// fits.
inline unsigned blocks_of_row(int64_t rows) {
  unsigned blocks = kMaxBlocks;
  while (blocks > 1 && rows * blocks > 64) blocks /= 2;
  return blocks;
}

// How the ids of a row are dealt out to the blocks of its cluster.
struct Stretches {
  unsigned blocks;
  int ids;      // of a block
  bool packed;  // logits can be read by fours

  __device__ int first(unsigned block, int vocab_size) const {
    return min(static_cast<int>(block) * ids, vocab_size);
  }
};
inline Stretches stretches_of(int64_t rows, int64_t vocab_size, Matrix<const float> logits) {
  const unsigned blocks = blocks_of_row(rows);
  const int64_t ids = ceil_div(ceil_div(vocab_size, blocks), 4) * 4;
  // A row's last pack may not go beyond it.
  const bool packed = vocab_size % 4 == 0 && logits.stride % 4 == 0 &&
                      reinterpret_cast<uintptr_t>(logits.data) % 16 == 0;
  return {blocks, static_cast<int>(ids), packed};
}

}  // namespace braid::kernels::cuda
