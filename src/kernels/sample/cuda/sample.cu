// One cluster of blocks a row, each with a stretch of the ids. What is drawn from a cut
// distribution is found by levels: ids that are about as likely are counted and summed up together,
// and only those of the level in question are sorted. Where too many are as likely, it is found by
// walking down the ids from the most likely instead, kChunk of them at a time. All sums are of
// integers, so that neither the number of blocks nor the order of anything changes a token.
#include <cooperative_groups.h>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/exp.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/hash.h"
#include "kernels/sample/cuda/sample.h"

namespace braid::kernels::cuda {
namespace {

namespace cg = cooperative_groups;

constexpr unsigned kMaxBlocks = 8;  // of a row: what every cluster may have
constexpr int kThreads = 1024;
constexpr int kWarps = kThreads / kWarp;
constexpr int kChunk = kThreads;  // one sorted id a thread
constexpr int kDigitBits = 10;
constexpr int kBins = 1 << kDigitBits;
constexpr int kRankBits = 50;  // of a Rank: the logit's 32, the id's 18
constexpr int kIdBits = 18;
static_assert(kMaxVocabSize == int64_t{1} << kIdBits && kRankBits % kDigitBits == 0);
static_assert(kBins == kThreads);
// Where an id stands: a lower Rank is a higher logit or, of equals, a lower id. Ids that can't be
// drawn have kNoRank.
using Rank = uint64_t;
constexpr Rank kNoRank = ~Rank{0};
constexpr float kInfinity = __builtin_huge_valf();

// A weight in units of 2^-45 of the highest: sums are exact in any order.
using Mass = uint64_t;
constexpr float kMassUnit = 0x1p45f;

struct Row {
  const float* logits;
  int first;  // of this block's ids
  int last;   // one past
  float top;  // the highest logit
  float temperature;
  float log_min_p = -kInfinity;  // at most 0

  // As on the CPU.
  __device__ float weight(float logit) const {
    return exp(__fdiv_rn(__fsub_rn(logit, top), temperature));
  }
  // 0 for NaN.
  __device__ Mass mass(float logit) const {
    const float value = weight(logit);
    return value > 0 ? static_cast<Mass>(__fmul_rn(value, kMassUnit)) : 0;
  }
  // Whether min_p leaves an id of this logit; as on the CPU.
  __device__ bool is_kept(float logit) const {
    return __fdiv_rn(__fsub_rn(logit, top), temperature) >= log_min_p;
  }
  __device__ Mass kept_mass(float logit) const { return is_kept(logit) ? mass(logit) : 0; }
  __device__ Rank rank(int id) const {
    const float logit = logits[id];
    if (!(weight(logit) > 0)) return kNoRank;
    const uint32_t bits = __float_as_uint(logit == 0 ? 0.0f : logit);
    const uint32_t descending = bits >> 31 != 0 ? bits : ~bits & 0x7fffffffu;
    return static_cast<Rank>(descending) << kIdBits | static_cast<Rank>(id);
  }
  static __device__ int id_of(Rank rank) { return static_cast<int>(rank & ((1u << kIdBits) - 1)); }
};

// How far a walk down the most likely ids came.
struct Reached {
  Mass mass = 0;       // of the ids up to there
  uint32_t count = 0;  // of these ids
  int id = 0;
};
struct Walk {
  Reached reached;
  Rank from = 0;        // where it goes on
  uint32_t loaded = 0;  // how many of the most likely ids stand in Shared::ranks
  bool ended = false;
};

// The level that something was found in.
struct Level {
  int index;
  uint32_t count;         // of its ids
  uint32_t count_before;  // of those of the levels before
  Mass mass_before;
};

struct Shared {
  uint32_t bins[kBins];
  Mass bin_masses[kBins];
  Rank ranks[kChunk];
  Mass masses[kWarp];
  uint32_t counts[kWarp];
  uint64_t tops[kWarp];
  uint32_t size;  // of `ranks`
  Rank bound;
  uint32_t below;
  uint32_t inside;
  Level level;
  float lows[kWarp];
  // What other blocks read.
  uint64_t top;
  float low;
  Mass mass;
  Walk walk;
  int found;
};

// Σ value over the blocks before this one, and over all; the value is this block's `member`, which
// its first thread has written. All blocks have read it when sum_over() returns.
struct Sums {
  Mass before = 0;
  Mass all = 0;
};
__device__ Sums sum_over(const cg::cluster_group& cluster, Shared& shared) {
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
constexpr uint64_t kOddTop = ~uint64_t{0};
__device__ uint64_t top_of(float logit, int id) {
  if (!(logit < kInfinity)) return kOddTop;
  if (logit == -kInfinity) return 0;
  const uint32_t bits = __float_as_uint(__fadd_rn(logit, 0.0f));  // zeros of either sign are equal
  const uint32_t ascending = bits >> 31 != 0 ? ~bits : bits | 0x80000000u;
  return uint64_t{ascending} << 32 | static_cast<uint32_t>(~id);
}

__device__ uint64_t highest_top(uint64_t top) {
#pragma unroll
  for (int step = kWarp / 2; step > 0; step /= 2) {
    top = max(top, static_cast<uint64_t>(__shfl_xor_sync(kAllLanes, top, step)));
  }
  return top;
}

// The highest of this block's logits. A thread sees its ids in their order, so that it keeps the
// lowest of equals.
__device__ uint64_t highest_of_block(const Row& row, bool packed, Shared& shared) {
  float highest = -__builtin_huge_valf();
  int best = 0;
  const auto see = [&](float logit, int id) {
    if (logit > highest) {
      highest = logit;
      best = id;
    }
  };
  const int thread = static_cast<int>(threadIdx.x);
  if (packed) {
#pragma unroll 4
    for (int id = row.first + 4 * thread; id < row.last; id += 4 * kThreads) {
      const float4 four = *reinterpret_cast<const float4*>(row.logits + id);
      see(four.x, id);
      see(four.y, id + 1);
      see(four.z, id + 2);
      see(four.w, id + 3);
    }
  } else {
    for (int id = row.first + thread; id < row.last; id += kThreads) see(row.logits[id], id);
  }
  const uint64_t top = highest_top(top_of(highest, best));
  if (thread % kWarp == 0) shared.tops[thread / kWarp] = top;
  __syncthreads();
  return highest_top(shared.tops[thread % kWarp]);
}

// The lowest id of the highest logit; kNoChoice where there is NaN or +infinity, or −infinity
// alone.
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

__device__ Mass scaled(double fraction, Mass mass) {
  const auto point = static_cast<Mass>(fraction * static_cast<double>(mass));
  return point < mass ? point : mass - 1;
}

// Draws from all ids that min_p leaves, in their order: the id at which the masses, summed up,
// exceed the point. Every warp has a stretch of the block's ids; the one that the point is in looks
// for it.
__device__ int draw_uncut(const Row& row, double uniform, const cg::cluster_group& cluster,
                          Shared& shared) {
  const int stretch = static_cast<int>(ceil_div(row.last - row.first, kWarps));
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int begin = row.first + warp * stretch;
  const int end = min(begin + stretch, row.last);
  Mass own = 0;
  for (int id = begin + lane; id < end; id += kWarp) own += row.kept_mass(row.logits[id]);
  own = warp_sum(own);
  if (lane == 0) shared.masses[warp] = own;
  __syncthreads();
  Mass sum = 0, of_block = 0;
  for (int w = 0; w < kWarps; ++w) {
    if (w < warp) sum += shared.masses[w];
    of_block += shared.masses[w];
  }
  if (threadIdx.x == 0) shared.mass = of_block;
  const Sums sums = sum_over(cluster, shared);
  const Mass point = scaled(uniform, sums.all);
  sum += sums.before;
  if (sum <= point && point < sum + own) {
    for (int first = begin; first < end; first += kWarp) {
      const int id = first + lane;
      const Mass up_to = sum + warp_scan(id < end ? row.kept_mass(row.logits[id]) : Mass{0});
      const uint32_t beyond = __ballot_sync(kAllLanes, up_to > point);
      if (beyond != 0) {
        if (lane == 0) {
          cluster.map_shared_rank(&shared, 0)->found = first + __ffs(static_cast<int>(beyond)) - 1;
        }
        break;
      }
      sum = __shfl_sync(kAllLanes, up_to, kWarp - 1);
    }
  }
  cluster.sync();
  return shared.found;  // in the first block
}

// One digit of the search in select(): among the ranks that agree with `bound` above this digit and
// are at least `from`, the digit's value in which the `count`-th lies goes into `bound`, how many
// have a lower one into `below`, how many this one into `inside`. Returns how many agree.
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
__device__ void sort_ranks(Shared& shared) {
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

// By the first block: goes on from walk.reached through the ranks in shared.ranks, `size` of which
// count, until the masses exceed `point`.
__device__ Walk walk_ranks(const Row& row, Walk walk, uint32_t limit, uint32_t size, Mass point,
                           Shared& shared) {
  if (size == 0) {
    walk.ended = true;
    return walk;
  }
  Reached& reached = walk.reached;
  const Rank rank = shared.ranks[threadIdx.x];
  const bool here = threadIdx.x < size;
  const Mass mass = here ? row.mass(row.logits[Row::id_of(rank)]) : 0;
  Mass total = 0;
  const Mass up_to = reached.mass + block_scan(mass, shared.masses, total);
  if (here && up_to > point && up_to - mass <= point) {
    shared.found = static_cast<int>(threadIdx.x);
    shared.mass = up_to;
  }
  __syncthreads();
  if (reached.mass + total > point) {
    const int found = shared.found;
    reached = {shared.mass, reached.count + static_cast<uint32_t>(found) + 1,
               Row::id_of(shared.ranks[found])};
    walk.ended = true;
  } else {
    reached = {reached.mass + total, reached.count + size, Row::id_of(shared.ranks[size - 1])};
    walk.ended = reached.count >= limit;
  }
  walk.from = shared.ranks[size - 1] + 1;
  return walk;
}

// Walks down the first `limit` ids from the most likely until their masses, added up, exceed
// `point`; `loaded` of them stand in the first block's shared.ranks.
__device__ Reached walk(const Row& row, uint32_t limit, Mass point, uint32_t& loaded,
                        const cg::cluster_group& cluster, Shared& shared) {
  Walk walk{.loaded = loaded};
  while (!walk.ended) {
    const bool is_first = walk.reached.count == 0;
    const uint32_t most = min(limit - walk.reached.count, static_cast<uint32_t>(kChunk));
    const bool selects = !is_first || walk.loaded == 0;
    if (selects) select(row, walk.from, most, cluster, shared);
    if (cluster.block_rank() == 0) {
      const uint32_t size = selects ? shared.size : walk.loaded;
      walk = walk_ranks(row, walk, limit, min(size, most), point, shared);
      walk.loaded = is_first ? size : 0;
      if (threadIdx.x == 0) shared.walk = walk;
    }
    cluster.sync();
    walk = cluster.map_shared_rank(&shared, 0)->walk;
    cluster.sync();
  }
  loaded = walk.loaded;
  return walk.reached;
}

constexpr Mass kNoPoint = ~Mass{0};

// The lowest of all logits that are finite.
__device__ float lowest(const Row& row, const cg::cluster_group& cluster, Shared& shared) {
  float low = row.top;
  for (int id = row.first + static_cast<int>(threadIdx.x); id < row.last; id += kThreads) {
    if (isfinite(row.logits[id])) low = fminf(low, row.logits[id]);
  }
  const auto reduce = [&low] {
#pragma unroll
    for (int step = kWarp / 2; step > 0; step /= 2) {
      low = fminf(low, __shfl_xor_sync(kAllLanes, low, step));
    }
  };
  reduce();
  if (threadIdx.x % kWarp == 0) shared.lows[threadIdx.x / kWarp] = low;
  __syncthreads();
  low = shared.lows[threadIdx.x % kWarp];
  reduce();
  if (threadIdx.x == 0) shared.low = low;
  cluster.sync();
  for (unsigned b = 0; b < cluster.num_blocks(); ++b) {
    low = fminf(low, cluster.map_shared_rank(&shared, b)->low);
  }
  return low;
}

constexpr float kMostBelow = 16;  // temperatures

// The ids that can be drawn by kBins levels, equally wide in the logit, of which the last one has
// all that is kMostBelow or more below the top. Of lower ranks none is in a later level. Thread i
// knows level i.
struct Levels {
  float scale;  // levels for a logit of 1
  uint32_t count, count_before, all;
  Mass mass, mass_before, mass_of_all;

  __device__ int level_of(const Row& row, float logit) const {
    return min(static_cast<int>(__fmul_rn(__fsub_rn(row.top, logit), scale)), kBins - 1);
  }
};

__device__ void add_mass(Mass& to, Mass mass) {
  static_assert(sizeof(unsigned long long) == sizeof(Mass));
  atomicAdd(reinterpret_cast<unsigned long long*>(&to), static_cast<unsigned long long>(mass));
}

__device__ Levels count_levels(const Row& row, const cg::cluster_group& cluster, Shared& shared) {
  Levels levels{};
  const float span = fminf(row.top - lowest(row, cluster, shared), kMostBelow * row.temperature);
  levels.scale = span > 1e-30f ? static_cast<float>(kBins - 1) / span : 0.0f;
  shared.bins[threadIdx.x] = 0;
  shared.bin_masses[threadIdx.x] = 0;
  __syncthreads();
  // Often most ids are in the last level: each thread adds up its own.
  uint32_t last_count = 0;
  Mass last_mass = 0;
  for (int id = row.first + static_cast<int>(threadIdx.x); id < row.last; id += kThreads) {
    const float logit = row.logits[id];
    const float weight = row.weight(logit);
    if (!(weight > 0)) continue;
    const auto mass = static_cast<Mass>(__fmul_rn(weight, kMassUnit));
    const int level = levels.level_of(row, logit);
    if (level == kBins - 1) {
      ++last_count;
      last_mass += mass;
    } else {
      atomicAdd(&shared.bins[level], 1u);
      add_mass(shared.bin_masses[level], mass);
    }
  }
  last_count = warp_sum(last_count);
  last_mass = warp_sum(last_mass);
  if (threadIdx.x % kWarp == 0) {
    atomicAdd(&shared.bins[kBins - 1], last_count);
    add_mass(shared.bin_masses[kBins - 1], last_mass);
  }
  cluster.sync();
  for (unsigned b = 0; b < cluster.num_blocks(); ++b) {
    const Shared& other = *cluster.map_shared_rank(&shared, b);
    levels.count += other.bins[threadIdx.x];
    levels.mass += other.bin_masses[threadIdx.x];
  }
  levels.count_before = block_scan(levels.count, shared.counts, levels.all) - levels.count;
  levels.mass_before = block_scan(levels.mass, shared.masses, levels.mass_of_all) - levels.mass;
  cluster.sync();
  return levels;
}

// How far the most likely ids reach of which there are `count` or, for 0, whose masses exceed
// `point`. False where the level that this is in has more than kChunk ids.
__device__ bool find(const Row& row, const Levels& levels, uint32_t count, Mass point,
                     const cg::cluster_group& cluster, Shared& shared, Reached& reached) {
  const bool here = count > 0
                        ? levels.count_before < count && count <= levels.count_before + levels.count
                        : levels.mass_before <= point && point < levels.mass_before + levels.mass;
  if (here) {
    shared.level = {static_cast<int>(threadIdx.x), levels.count, levels.count_before,
                    levels.mass_before};
  }
  if (threadIdx.x == 0) shared.size = 0;
  shared.ranks[threadIdx.x] = kNoRank;
  cluster.sync();
  const Level level = shared.level;
  if (level.count > kChunk) return false;
  Shared& first = *cluster.map_shared_rank(&shared, 0);
  for (int id = row.first + static_cast<int>(threadIdx.x); id < row.last; id += kThreads) {
    if (levels.level_of(row, row.logits[id]) != level.index) continue;
    const Rank rank = row.rank(id);
    if (rank != kNoRank) first.ranks[atomicAdd(&first.size, 1u)] = rank;
  }
  cluster.sync();
  if (cluster.block_rank() == 0) {
    sort_ranks(shared);
    const uint32_t most = count > 0 ? count - level.count_before : level.count;
    Walk before;
    before.reached = {level.mass_before, level.count_before, 0};
    const Walk walk = walk_ranks(row, before, ~0u, most, point, shared);
    if (threadIdx.x == 0) shared.walk = walk;
  }
  cluster.sync();
  reached = first.walk.reached;
  cluster.sync();
  return true;
}

// The smallest set of probability ≥ top_p is that whose mass exceeds the result.
__device__ Mass mass_below(float top_p, Mass mass) {
  const double wanted = ceil(static_cast<double>(top_p) * static_cast<double>(mass));
  return (wanted < 1 ? 1 : min(static_cast<Mass>(wanted), mass)) - 1;
}

// Leaves of the ids reached those that min_p leaves: they are the most likely ones, too.
__device__ void cut_min_p(const Row& row, const cg::cluster_group& cluster, Shared& shared,
                          uint32_t& count, Mass& mass) {
  if (row.log_min_p == -kInfinity) return;
  Mass own_mass = 0;
  uint32_t own_count = 0;
  for (int id = row.first + static_cast<int>(threadIdx.x); id < row.last; id += kThreads) {
    const float logit = row.logits[id];
    own_mass += row.kept_mass(logit);
    own_count += row.is_kept(logit) && row.weight(logit) > 0 ? 1 : 0;
  }
  own_mass = block_sum(own_mass, shared.masses);
  if (threadIdx.x == 0) shared.mass = own_mass;
  const Mass kept_mass = sum_over(cluster, shared).all;
  own_count = block_sum(own_count, shared.counts);
  if (threadIdx.x == 0) shared.mass = own_count;
  const auto kept_count = static_cast<uint32_t>(sum_over(cluster, shared).all);
  if (kept_count >= count) return;
  count = kept_count;
  mass = kept_mass;
}

// As draw_cut(), whatever the distribution.
__device__ int draw_walking(const Row& row, int top_k, float top_p, double uniform,
                            const cg::cluster_group& cluster, Shared& shared) {
  uint32_t limit = top_k > 0 ? static_cast<uint32_t>(top_k) : ~0u;
  uint32_t loaded = 0;
  Mass mass = 0;
  if (top_k > 0) {
    mass = walk(row, limit, kNoPoint, loaded, cluster, shared).mass;
  } else {
    for (int id = row.first + static_cast<int>(threadIdx.x); id < row.last; id += kThreads) {
      mass += row.mass(row.logits[id]);
    }
    mass = block_sum(mass, shared.masses);
    if (threadIdx.x == 0) shared.mass = mass;
    mass = sum_over(cluster, shared).all;
  }
  if (top_p < 1) {
    const Reached reached = walk(row, limit, mass_below(top_p, mass), loaded, cluster, shared);
    limit = reached.count;
    mass = reached.mass;
  }
  cut_min_p(row, cluster, shared, limit, mass);
  return walk(row, limit, scaled(uniform, mass), loaded, cluster, shared).id;
}

// Draws from the top_k most likely ids (all for ≤ 0), of these from the smallest set of probability
// ≥ top_p, and of these from what min_p leaves.
__device__ int draw_cut(const Row& row, int top_k, float top_p, double uniform,
                        const cg::cluster_group& cluster, Shared& shared) {
  const Levels levels = count_levels(row, cluster, shared);
  Reached reached{levels.mass_of_all, levels.all, 0};
  bool found = true;
  if (top_k > 0 && static_cast<uint32_t>(top_k) < levels.all) {
    found = find(row, levels, static_cast<uint32_t>(top_k), kNoPoint, cluster, shared, reached);
  }
  if (found && top_p < 1) {
    found = find(row, levels, 0, mass_below(top_p, reached.mass), cluster, shared, reached);
  }
  if (found) {
    cut_min_p(row, cluster, shared, reached.count, reached.mass);
    found = find(row, levels, 0, scaled(uniform, reached.mass), cluster, shared, reached);
  }
  return found ? reached.id : draw_walking(row, top_k, top_p, uniform, cluster, shared);
}

// Blocks of x are a row's cluster. Whatever a cluster does depends on its row alone, so that its
// blocks meet in every sync().
__global__ void __launch_bounds__(kThreads)
    sample_rows(Rows rows, int vocab_size, int stretch, bool packed, SampleArgs args) {
  __shared__ Shared shared;
  start_in_turn();
  const int64_t r = blockIdx.y;
  if (r >= rows.live()) return;
  const cg::cluster_group cluster = cg::this_cluster();
  const int begin = static_cast<int>(cluster.block_rank()) * stretch;
  Row row{args.logits.row(r), min(begin, vocab_size), min(begin + stretch, vocab_size), 0, 0};
  row.temperature = *args.temperature.row(r);
  int id = highest(row, packed, cluster, shared);
  if (row.temperature > 0 && id != kNoChoice) {
    row.top = row.logits[id];
    const float log_min_p = *args.log_min_p.row(r);
    if (log_min_p > -kInfinity) row.log_min_p = fminf(log_min_p, 0.0f);
    const double uniform = unit_interval(
        hash(*args.seed.row(r), static_cast<uint64_t>(int64_t{*args.position.row(r)})));
    const int top_k = *args.top_k.row(r);
    const float top_p = *args.top_p.row(r);
    cluster.sync();
    id = top_k > 0 || top_p < 1 ? draw_cut(row, top_k, top_p, uniform, cluster, shared)
                                : draw_uncut(row, uniform, cluster, shared);
  }
  if (cluster.block_rank() == 0 && threadIdx.x == 0) *args.ids.row(r) = id;
  cluster.sync();  // no block leaves while another reads what it has
}

// So many blocks a row that the clusters of all rows find room at once: not every SM has one that
// fits.
unsigned blocks_of_row(int64_t rows) {
  unsigned blocks = kMaxBlocks;
  while (blocks > 1 && rows * blocks > 64) blocks /= 2;
  return blocks;
}

}  // namespace

void sample(const Rows& rows, int64_t vocab_size, const SampleArgs& args, const KernelStream& on) {
  const auto capacity = static_cast<unsigned>(rows.capacity);
  if (capacity == 0) return;
  const unsigned blocks = blocks_of_row(rows.capacity);
  const int64_t stretch = ceil_div(ceil_div(vocab_size, blocks), 4) * 4;
  // A row's last pack may not go beyond it.
  const bool packed = vocab_size % 4 == 0 && args.logits.stride % 4 == 0 &&
                      reinterpret_cast<uintptr_t>(args.logits.data) % 16 == 0;
  launch_kernel(on, {.grid = dim3(blocks, capacity), .block = dim3(kThreads), .cluster = blocks},
                sample_rows, rows, static_cast<int>(vocab_size), static_cast<int>(stretch), packed,
                args);
}

}  // namespace braid::kernels::cuda
