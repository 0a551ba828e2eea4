// One block a row. What is drawn from a cut distribution is found by walking down the ids from the
// most likely: kChunk of them at a time are selected, sorted and summed up.
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/exp.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/hash.h"
#include "kernels/sample/cuda/sample.h"

namespace braid::kernels::cuda {
namespace {

constexpr int kThreads = 1024;
constexpr int kWarps = kThreads / kWarp;
constexpr int kChunk = kThreads;  // one sorted id a thread
constexpr int kDigitBits = 10;
constexpr int kBins = 1 << kDigitBits;
constexpr int kRankBits = 50;  // of a Rank: the logit's 32, the id's 18
constexpr int kIdBits = 18;
static_assert(kMaxVocabSize == int64_t{1} << kIdBits && kRankBits % kDigitBits == 0);
static_assert(kBins == kThreads);
constexpr float kInfinity = __builtin_huge_valf();

// Where an id stands: a lower Rank is a higher logit or, of equals, a lower id. Ids that can't be
// drawn have kNoRank.
using Rank = uint64_t;
constexpr Rank kNoRank = ~Rank{0};

// A weight in units of 2^-45 of the highest: sums are exact in any order.
using Mass = uint64_t;
constexpr float kMassUnit = 0x1p45f;

struct Row {
  const float* logits;
  int vocab_size;
  float top;  // the highest logit
  float temperature;

  // As on the CPU.
  __device__ float weight(float logit) const {
    return exp(__fdiv_rn(__fsub_rn(logit, top), temperature));
  }
  // 0 for NaN.
  __device__ Mass mass(float logit) const {
    const float value = weight(logit);
    return value > 0 ? static_cast<Mass>(__fmul_rn(value, kMassUnit)) : 0;
  }
  __device__ Rank rank(int id) const {
    const float logit = logits[id];
    if (!(weight(logit) > 0)) return kNoRank;
    const uint32_t bits = __float_as_uint(logit == 0 ? 0.0f : logit);
    const uint32_t descending = bits >> 31 != 0 ? bits : ~bits & 0x7fffffffu;
    return static_cast<Rank>(descending) << kIdBits | static_cast<Rank>(id);
  }
  static __device__ int id_of(Rank rank) { return static_cast<int>(rank & ((1u << kIdBits) - 1)); }
};

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

// The lowest id of the highest logit. NaN compares false: 0 if there is nothing else.
__device__ int highest(const float* logits, int count, Shared& shared) {
  float value = -kInfinity;
  int best = 0x7fffffff;
  for (int i = static_cast<int>(threadIdx.x); i < count; i += kThreads) {
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
  __syncthreads();
  value = shared.values[lane];
  best = shared.ids[lane];
  reduce();
  return best < count ? best : 0;
}

// The id at which the masses, summed up in the order of ids, exceed `point`. Every warp has a
// stretch of the ids; the one that the point is in looks for it.
__device__ int find_by_id(const Row& row, Mass point, Mass own, Shared& shared) {
  const int stretch = static_cast<int>(ceil_div(row.vocab_size, kWarps));
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int end = min((warp + 1) * stretch, row.vocab_size);
  // `own`: the warp's sum; before it, those of the warps in front.
  Mass sum = 0;
  for (int w = 0; w < warp; ++w) sum += shared.masses[w];
  if (sum <= point && point < sum + own) {
    for (int first = warp * stretch; first < end; first += kWarp) {
      const int id = first + lane;
      const Mass up_to = sum + warp_scan(id < end ? row.mass(row.logits[id]) : Mass{0});
      const uint32_t beyond = __ballot_sync(kAllLanes, up_to > point);
      if (beyond != 0) {
        if (lane == 0) shared.found = first + __ffs(static_cast<int>(beyond)) - 1;
        break;
      }
      sum = __shfl_sync(kAllLanes, up_to, kWarp - 1);
    }
  }
  __syncthreads();
  return shared.found;
}

__device__ Mass scaled(double fraction, Mass mass) {
  const auto point = static_cast<Mass>(fraction * static_cast<double>(mass));
  return point < mass ? point : mass - 1;
}

// Draws from all ids, in their order.
__device__ int draw_uncut(const Row& row, double uniform, Shared& shared) {
  const int stretch = static_cast<int>(ceil_div(row.vocab_size, kWarps));
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int end = min((warp + 1) * stretch, row.vocab_size);
  Mass own = 0;
  for (int id = warp * stretch + lane; id < end; id += kWarp) own += row.mass(row.logits[id]);
  own = warp_sum(own);
  if (lane == 0) shared.masses[warp] = own;
  __syncthreads();
  Mass total = 0;
  for (int w = 0; w < kWarps; ++w) total += shared.masses[w];
  return find_by_id(row, scaled(uniform, total), own, shared);
}

// One digit of the search in select(): among the ranks that agree with `bound` above this digit and
// are at least `from`, the digit's value in which the `count`-th lies goes into `bound`, how many
// have a lower one into `below`, how many this one into `inside`. Returns how many agree.
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

// shared.ranks = the lowest `most` ≤ kChunk ranks from `from` on, in order; how many there are.
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

// Walks down the first `limit` ids from the most likely until their masses, added up, exceed
// `point`.
struct Reached {
  Mass mass;       // of the ids up to there
  uint32_t count;  // of these ids
  int id;
};
__device__ Reached walk(const Row& row, uint32_t limit, Mass point, uint32_t& loaded,
                        Shared& shared) {
  Reached reached{0, 0, 0};
  Rank from = 0;
  while (reached.count < limit) {
    const uint32_t most = min(limit - reached.count, static_cast<uint32_t>(kChunk));
    uint32_t size = loaded;
    if (reached.count > 0 || loaded == 0) size = select(row, from, most, shared);
    loaded = reached.count == 0 ? size : 0;
    size = min(size, most);
    if (size == 0) break;
    const Rank rank = shared.ranks[threadIdx.x];
    const bool here = threadIdx.x < size;
    const Mass mass = here ? row.mass(row.logits[Row::id_of(rank)]) : 0;
    Mass total = 0;
    const Mass up_to = reached.mass + block_scan(mass, shared.masses, total);
    if (here && up_to > point && up_to - mass <= point) {
      shared.found = static_cast<int>(threadIdx.x);
      shared.mass = up_to;
    }
    from = shared.ranks[size - 1] + 1;
    const bool beyond = reached.mass + total > point;
    __syncthreads();
    if (beyond) {
      const int found = shared.found;
      reached = {shared.mass, reached.count + static_cast<uint32_t>(found) + 1,
                 Row::id_of(shared.ranks[found])};
      __syncthreads();
      return reached;
    }
    reached = {reached.mass + total, reached.count + size, Row::id_of(shared.ranks[size - 1])};
    __syncthreads();
  }
  return reached;
}

constexpr Mass kNoPoint = ~Mass{0};

// Draws from the top_k most likely ids (all for ≤ 0), and of these from the smallest set of
// probability ≥ top_p.
__device__ int draw_cut(const Row& row, int top_k, float top_p, double uniform, Shared& shared) {
  uint32_t limit = top_k > 0 ? static_cast<uint32_t>(top_k) : ~0u;
  uint32_t loaded = 0;  // how many of the most likely ids stand in shared.ranks
  Mass mass = 0;
  if (top_k > 0) {
    mass = walk(row, limit, kNoPoint, loaded, shared).mass;
  } else {
    for (int id = static_cast<int>(threadIdx.x); id < row.vocab_size; id += kThreads) {
      mass += row.mass(row.logits[id]);
    }
    mass = block_sum(mass, shared.masses);
    __syncthreads();
  }
  if (top_p < 1) {
    const double wanted = ceil(static_cast<double>(top_p) * static_cast<double>(mass));
    const Mass needed = wanted < 1 ? 1 : min(static_cast<Mass>(wanted), mass);
    const Reached reached = walk(row, limit, needed - 1, loaded, shared);
    limit = reached.count;
    mass = reached.mass;
  }
  return walk(row, limit, scaled(uniform, mass), loaded, shared).id;
}

__global__ void __launch_bounds__(kThreads)
    sample_rows(Rows rows, int vocab_size, SampleArgs args) {
  start_in_turn();
  __shared__ Shared shared;
  const int64_t r = blockIdx.x;
  if (r >= rows.live()) return;
  const float* logits = args.logits.row(r);
  int id = highest(logits, vocab_size, shared);
  const float temperature = *args.temperature.row(r);
  if (temperature > 0 && isfinite(logits[id])) {
    const Row row{logits, vocab_size, logits[id], temperature};
    const double uniform = unit_interval(
        hash(*args.seed.row(r), static_cast<uint64_t>(int64_t{*args.position.row(r)})));
    const int top_k = *args.top_k.row(r);
    const float top_p = *args.top_p.row(r);
    __syncthreads();
    id = top_k > 0 || top_p < 1 ? draw_cut(row, top_k, top_p, uniform, shared)
                                : draw_uncut(row, uniform, shared);
  }
  if (threadIdx.x == 0) *args.ids.row(r) = id;
}

}  // namespace

void sample(const Rows& rows, int64_t vocab_size, const SampleArgs& args, const KernelStream& on) {
  const auto blocks = static_cast<unsigned>(rows.capacity);
  if (blocks == 0) return;
  launch_kernel(on, {blocks, kThreads}, sample_rows, rows, static_cast<int>(vocab_size), args);
}

}  // namespace braid::kernels::cuda
