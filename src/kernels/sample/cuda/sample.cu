// One cluster of blocks a row, each with a stretch of the ids. What is drawn from a cut
// distribution is found by walking down the ids from the most likely: kChunk of them at a time are
// selected by all blocks, then sorted and summed up by the first. All sums are of integers, so that
// neither the number of blocks nor the order of anything changes a token.
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
  int first;  // of this block's ids
  int last;   // one past
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
    return weight(logits[id]) > 0 ? rank_of(logits[id], id) : kNoRank;
  }
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

struct Drawing : Shared {
  Walk walk;  // which other blocks read
};

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
  const Mass mass = here ? row.mass(row.logits[id_of(rank)]) : 0;
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
               id_of(shared.ranks[found])};
    walk.ended = true;
  } else {
    reached = {reached.mass + total, reached.count + size, id_of(shared.ranks[size - 1])};
    walk.ended = reached.count >= limit;
  }
  walk.from = shared.ranks[size - 1] + 1;
  return walk;
}

// Walks down the first `limit` ids from the most likely until their masses, added up, exceed
// `point`; `loaded` of them stand in the first block's shared.ranks.
__device__ Reached walk(const Row& row, uint32_t limit, Mass point, uint32_t& loaded,
                        const cg::cluster_group& cluster, Drawing& shared) {
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

// The ids that min_p leaves: these are the `count` most likely ones.
struct Kept {
  Mass mass = 0;
  uint32_t count = 0;
};
__device__ Kept count_kept(const Row& row, const cg::cluster_group& cluster, Shared& shared) {
  Kept own;
  for (int id = row.first + static_cast<int>(threadIdx.x); id < row.last; id += kThreads) {
    const float logit = row.logits[id];
    own.mass += row.kept_mass(logit);
    own.count += row.is_kept(logit) && row.weight(logit) > 0 ? 1 : 0;
  }
  const Mass mass = block_sum(own.mass, shared.masses);
  if (threadIdx.x == 0) shared.mass = mass;
  const Mass all = sum_over(cluster, shared).all;
  const uint32_t count = block_sum(own.count, shared.counts);
  if (threadIdx.x == 0) shared.mass = count;
  return {all, static_cast<uint32_t>(sum_over(cluster, shared).all)};
}

// Draws from the top_k most likely ids (all for ≤ 0), of these from the smallest set of probability
// ≥ top_p, and of these from what min_p leaves.
__device__ int draw_cut(const Row& row, int top_k, float top_p, double uniform,
                        const cg::cluster_group& cluster, Drawing& shared) {
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
    const double wanted = ceil(static_cast<double>(top_p) * static_cast<double>(mass));
    const Mass needed = wanted < 1 ? 1 : min(static_cast<Mass>(wanted), mass);
    const Reached reached = walk(row, limit, needed - 1, loaded, cluster, shared);
    limit = reached.count;
    mass = reached.mass;
  }
  if (row.log_min_p > -kInfinity) {
    const Kept kept = count_kept(row, cluster, shared);
    if (kept.count < limit) {
      limit = kept.count;
      mass = kept.mass;
    }
  }
  return walk(row, limit, scaled(uniform, mass), loaded, cluster, shared).id;
}

// Blocks of x are a row's cluster. Whatever a cluster does depends on its row alone, so that its
// blocks meet in every sync().
__global__ void __launch_bounds__(kThreads)
    sample_rows(Rows rows, int vocab_size, Stretches stretches, SampleArgs args) {
  __shared__ Drawing shared;
  start_in_turn();
  const int64_t r = blockIdx.y;
  if (r >= rows.live()) return;
  const cg::cluster_group cluster = cg::this_cluster();
  const unsigned block = cluster.block_rank();
  Row row{args.logits.row(r),
          stretches.first(block, vocab_size),
          stretches.first(block + 1, vocab_size),
          0,
          *args.temperature.row(r),
          -kInfinity};
  int id = highest(row, stretches.packed, cluster, shared);
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
  if (block == 0 && threadIdx.x == 0) *args.ids.row(r) = id;
  cluster.sync();  // no block leaves while another reads what it has
}

}  // namespace

void sample(const Rows& rows, int64_t vocab_size, const SampleArgs& args, const KernelStream& on) {
  const auto capacity = static_cast<unsigned>(rows.capacity);
  if (capacity == 0) return;
  const Stretches stretches = stretches_of(rows.capacity, vocab_size, args.logits);
  launch_kernel(on,
                {.grid = dim3(stretches.blocks, capacity),
                 .block = dim3(kThreads),
                 .cluster = stretches.blocks},
                sample_rows, rows, static_cast<int>(vocab_size), stretches, args);
}

}  // namespace braid::kernels::cuda
