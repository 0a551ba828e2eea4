// One block a row. What is drawn from a cut distribution is found by walking down the ids from the
// most likely: kChunk of them at a time are selected, sorted and summed up.
#include "kernels/cuda/exp.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/hash.h"
#include "kernels/sample/cuda/most_likely.cuh"
#include "kernels/sample/cuda/sample.h"

namespace braid::kernels::cuda {
namespace {

static_assert(kMaxVocabSize == int64_t{1} << kIdBits);

struct Row {
  const float* logits;
  int vocab_size;
  float top;  // the highest logit
  float temperature;
  float log_min_p;  // at most 0

  // As on the CPU.
  __device__ float weight(float logit) const {
    return exp(__fdiv_rn(__fsub_rn(logit, top), temperature));
  }
  __device__ Mass mass(float logit) const { return mass_of(weight(logit)); }
  // Whether min_p leaves an id of this logit; as on the CPU.
  __device__ bool is_kept(float logit) const {
    return __fdiv_rn(__fsub_rn(logit, top), temperature) >= log_min_p;
  }
  __device__ Mass kept_mass(float logit) const { return is_kept(logit) ? mass(logit) : 0; }
  __device__ Rank rank(int id) const {
    const float logit = logits[id];
    if (!(weight(logit) > 0)) return kNoRank;
    return rank_of(logit, id);
  }
};

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
      const Mass up_to = sum + warp_scan(id < end ? row.kept_mass(row.logits[id]) : Mass{0});
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

// Draws from all ids that min_p leaves, in their order.
__device__ int draw_uncut(const Row& row, double uniform, Shared& shared) {
  const int stretch = static_cast<int>(ceil_div(row.vocab_size, kWarps));
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int end = min((warp + 1) * stretch, row.vocab_size);
  Mass own = 0;
  for (int id = warp * stretch + lane; id < end; id += kWarp) own += row.kept_mass(row.logits[id]);
  own = warp_sum(own);
  if (lane == 0) shared.masses[warp] = own;
  __syncthreads();
  Mass total = 0;
  for (int w = 0; w < kWarps; ++w) total += shared.masses[w];
  return find_by_id(row, scaled(uniform, total), own, shared);
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
    const Mass mass = here ? row.mass(row.logits[id_of(rank)]) : 0;
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
                 id_of(shared.ranks[found])};
      __syncthreads();
      return reached;
    }
    reached = {reached.mass + total, reached.count + size, id_of(shared.ranks[size - 1])};
    __syncthreads();
  }
  return reached;
}

constexpr Mass kNoPoint = ~Mass{0};

// The ids that min_p leaves: these are the `count` most likely ones.
struct Kept {
  Mass mass;
  uint32_t count;
};
__device__ Kept count_kept(const Row& row, Shared& shared) {
  Kept own{0, 0};
  for (int id = static_cast<int>(threadIdx.x); id < row.vocab_size; id += kThreads) {
    const Mass mass = row.kept_mass(row.logits[id]);
    own.mass += mass;
    own.count += row.is_kept(row.logits[id]) && row.weight(row.logits[id]) > 0 ? 1 : 0;
  }
  const Mass mass = block_sum(own.mass, shared.masses);
  __syncthreads();
  const uint32_t count = block_sum(own.count, shared.counts);
  __syncthreads();
  return {mass, count};
}

// Draws from the top_k most likely ids (all for ≤ 0), of these from the smallest set of probability
// ≥ top_p, and of these from what min_p leaves.
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
  if (row.log_min_p > -kInfinity) {
    const Kept kept = count_kept(row, shared);
    if (kept.count < limit) {
      limit = kept.count;
      mass = kept.mass;
    }
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
  if (temperature > 0 && id != kNoChoice) {
    const float log_min_p = *args.log_min_p.row(r);
    const Row row{logits, vocab_size, logits[id], temperature,
                  log_min_p >= -kInfinity ? fminf(log_min_p, 0.0f) : -kInfinity};
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
