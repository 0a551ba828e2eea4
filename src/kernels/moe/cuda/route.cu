#include <cfloat>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/exp.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/hash.h"
#include "kernels/moe/cuda/moe.h"

namespace braid::kernels::cuda {
namespace {

constexpr int kWarps = 4;  // of a block; each routes a row
constexpr float kInfinity = __builtin_huge_valf();

__device__ int lane_of_warp() { return static_cast<int>(threadIdx.x) % kWarp; }

// One row's intermediate results, in shared memory.
struct RowScratch {
  float* scores;     // [E], what weights are taken from
  float* selection;  // [E], what experts are chosen by
  float* groups;     // [groups]
};

size_t scratch_floats(const RouteDesc& desc) {
  return 2 * static_cast<size_t>(desc.num_experts) + static_cast<size_t>(desc.num_groups);
}

// Which of up to 1024 indices are taken: lane i % 32 keeps bit i / 32.
struct Taken {
  uint32_t bits = 0;

  __device__ bool mine(int index) const { return (bits >> (index / kWarp) & 1u) != 0; }
  // For an index of any lane's; called by all lanes.
  __device__ bool any(int index) const {
    return (__shfl_sync(kAllLanes, bits, index % kWarp) >> (index / kWarp) & 1u) != 0;
  }
  __device__ void take(int index) {
    if (index % kWarp == lane_of_warp()) bits |= 1u << (index / kWarp);
  }
};

// The index of the highest value that isn't taken yet, the lowest index of equals; takes it. A NaN
// in front of all others is the highest, elsewhere the lowest: so compares a search from the front.
__device__ int take_highest(const float* values, int count, Taken& taken) {
  const int lane = lane_of_warp();
  int front = count;
  for (int i = lane; i < count && front == count; i += kWarp) {
    if (!taken.mine(i)) front = i;
  }
  front = __reduce_min_sync(kAllLanes, front);
  float best = -kInfinity;
  int index = count;
  for (int i = lane; i < count; i += kWarp) {
    if (taken.mine(i)) continue;
    float value = values[i];
    if (isnan(value)) value = i == front ? kInfinity : -kInfinity;
    if (value > best || index == count) {
      best = value;
      index = i;
    }
  }
#pragma unroll
  for (int step = kWarp / 2; step > 0; step /= 2) {
    const float other = __shfl_xor_sync(kAllLanes, best, step);
    const int other_index = __shfl_xor_sync(kAllLanes, index, step);
    if (other > best || (other == best && other_index < index)) {
      best = other;
      index = other_index;
    }
  }
  taken.take(index);
  return index;
}

// The highest of value(0) … value(count − 1) as a search from the front finds it: NaN if the first
// is one, other NaNs don't count.
template <typename Value>
__device__ float highest_of(int count, Value value) {
  const int lane = lane_of_warp();
  float highest = -kInfinity;
  for (int i = lane; i < count; i += kWarp) highest = fmaxf(highest, value(i));
#pragma unroll
  for (int step = kWarp / 2; step > 0; step /= 2) {
    highest = fmaxf(highest, __shfl_xor_sync(kAllLanes, highest, step));
  }
  const float first = value(0);
  return isnan(first) ? first : highest;
}

__device__ void score(const RouteDesc& desc, const float* logits, float* scores) {
  const int count = desc.num_experts;
  const int lane = lane_of_warp();
  switch (desc.score) {
    case Score::softmax: {
      const float highest = highest_of(count, [logits](int i) { return logits[i]; });
      for (int e = lane; e < count; e += kWarp) scores[e] = exp(__fsub_rn(logits[e], highest));
      __syncwarp();
      const float sum =
          sum_terms(count, [scores, count](int i) { return i < count ? scores[i] : 0.0f; });
      __syncwarp();
      for (int e = lane; e < count; e += kWarp) scores[e] = __fdiv_rn(scores[e], sum);
      break;
    }
    case Score::sigmoid:
      for (int e = lane; e < count; e += kWarp) scores[e] = sigmoid(logits[e]);
      break;
    case Score::softmax_of_topk:
      for (int e = lane; e < count; e += kWarp) scores[e] = logits[e];
      break;
  }
  __syncwarp();
}

// By one lane.
__device__ float group_score(GroupScore kind, const float* values, int count) {
  float first = -kInfinity;
  float second = -kInfinity;
  for (int i = 0; i < count; ++i) {
    if (values[i] > first) {
      second = first;
      first = values[i];
    } else if (values[i] > second) {
      second = values[i];
    }
  }
  return kind == GroupScore::max || count == 1 ? first : __fadd_rn(first, second);
}

// Drops the experts of all but the best groups.
__device__ void limit_groups(const RouteDesc& desc, const RowScratch& row) {
  const int lane = lane_of_warp();
  const int size = desc.num_experts / desc.num_groups;
  for (int g = lane; g < desc.num_groups; g += kWarp) {
    row.groups[g] = group_score(desc.group_score, row.selection + g * size, size);
  }
  __syncwarp();
  Taken kept;
  for (int i = 0; i < desc.topk_groups; ++i) take_highest(row.groups, desc.num_groups, kept);
  for (int first = 0; first < desc.num_experts; first += kWarp) {
    const int e = first + lane;
    const bool keep = kept.any(min(e, desc.num_experts - 1) / size);
    if (!keep && e < desc.num_experts) row.selection[e] = -kInfinity;
  }
  __syncwarp();
}

// The choices below return the id of place `lane`, for lanes < top_k.

__device__ int choose_by_scores(const RouteDesc& desc, const float* bias, const RowScratch& row) {
  const int lane = lane_of_warp();
  for (int e = lane; e < desc.num_experts; e += kWarp) {
    row.selection[e] = bias == nullptr ? row.scores[e] : __fadd_rn(row.scores[e], bias[e]);
  }
  __syncwarp();
  if (desc.num_groups > 1) limit_groups(desc, row);
  Taken taken;
  int id = 0;
  for (int k = 0; k < desc.top_k; ++k) {
    const int expert = take_highest(row.selection, desc.num_experts, taken);
    if (k == lane) id = expert;
  }
  return id;
}

// How many of `cumulative` are at most `point`: where std::upper_bound points.
__device__ int upper_bound(const float* cumulative, int count, double point) {
  int low = 0;
  int high = count;
  while (low < high) {
    const int middle = (low + high) / 2;
    if (point < static_cast<double>(cumulative[middle])) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

// Draws without replacement: the first free expert of 64 draws, else the next free one behind the
// last. Lane i makes draws i and 32 + i.
__device__ int choose_by_popularity(const RouteDesc& desc, const float* cumulative,
                                    int64_t row_index) {
  constexpr int kAttempts = 64;
  const int lane = lane_of_warp();
  const int count = desc.num_experts;
  const double total = static_cast<double>(cumulative[count - 1]);
  const uint64_t key = hash(static_cast<uint64_t>(desc.layer), static_cast<uint64_t>(row_index));
  Taken taken;
  int id = 0;
  for (int k = 0; k < desc.top_k; ++k) {
    int expert = 0;
    for (int first = 0; first < kAttempts; first += kWarp) {
      const auto counter = static_cast<uint64_t>(k * kAttempts + first + lane);
      const double point = unit_interval(hash(key, counter)) * total;
      const int drawn = min(upper_bound(cumulative, count, point), count - 1);
      const uint32_t free = __ballot_sync(kAllLanes, !taken.any(drawn));
      expert =
          __shfl_sync(kAllLanes, drawn, free != 0 ? __ffs(static_cast<int>(free)) - 1 : kWarp - 1);
      if (free != 0) break;
    }
    while (taken.any(expert)) expert = (expert + 1) % count;
    taken.take(expert);
    if (k == lane) id = expert;
  }
  return id;
}

__device__ int choose(const RouteDesc& desc, const RouteArgs& args, int64_t t,
                      const RowScratch& row) {
  const int place = min(lane_of_warp(), desc.top_k - 1);
  if (args.forced.data != nullptr && args.forced.row(t)[0] >= 0) {
    const int id = args.forced.row(t)[place];
    if (id < 0 || id >= desc.num_experts) __trap();
    return id;
  }
  const int64_t index = args.first_row + t;
  switch (desc.choice) {
    case Choice::router: return choose_by_scores(desc, args.bias, row);
    case Choice::balanced:
      return static_cast<int>((index * desc.top_k + place + desc.layer) % desc.num_experts);
    case Choice::zipf: return choose_by_popularity(desc, args.popularity, index);
  }
  return 0;
}

// The weight of place `lane`: its expert's score, as the Desc wants it.
__device__ float weigh(const RouteDesc& desc, const float* scores, int id) {
  const int count = desc.top_k;
  const int place = min(lane_of_warp(), count - 1);
  float weight = scores[id];
  const auto of_place = [&weight, count](int k) {
    return __shfl_sync(kAllLanes, weight, min(k, count - 1));
  };
  if (desc.score == Score::softmax_of_topk) {
    const float mine = __shfl_sync(kAllLanes, weight, place);
    const float first = __shfl_sync(kAllLanes, weight, 0);
    float highest = mine;
#pragma unroll
    for (int step = kWarp / 2; step > 0; step /= 2) {
      highest = fmaxf(highest, __shfl_xor_sync(kAllLanes, highest, step));
    }
    weight = exp(__fsub_rn(mine, isnan(first) ? first : highest));
    weight = __fdiv_rn(weight, sum_terms(count, of_place));
  }
  if (desc.normalize != 0) {
    weight = __fdiv_rn(weight, __fadd_rn(sum_terms(count, of_place), 1e-20f));
  }
  return __fmul_rn(weight, desc.scaling_factor);
}

// One more choice of the expert of place `lane`. Sums of integers: their order makes no difference.
__device__ void count(const RouteDesc& desc, const RouteArgs& args, int64_t t, int id) {
  static_assert(sizeof(unsigned long long) == sizeof(uint64_t));
  if (lane_of_warp() >= desc.top_k) return;
  uint64_t* heat = args.heat.row(args.first_row + t < desc.decode_rows ? 0 : 1);
  atomicAdd(reinterpret_cast<unsigned long long*>(heat + id), 1ull);
}

__global__ void __launch_bounds__(kWarps* kWarp) route_rows(RouteDesc desc, RouteArgs args) {
  start_in_turn();
  extern __shared__ float shared[];
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int lane = lane_of_warp();
  const int64_t t = int64_t{blockIdx.x} * kWarps + warp;
  if (t >= args.rows) return;
  int id = -1;
  float weight = 0;
  if (args.slots[t] >= 0) {
    RowScratch row;
    row.scores = shared + warp * (2 * desc.num_experts + desc.num_groups);
    row.selection = row.scores + desc.num_experts;
    row.groups = row.selection + desc.num_experts;
    score(desc, args.logits.row(t), row.scores);
    id = choose(desc, args, t, row);
    if (args.heat.data != nullptr) count(desc, args, t, id);
    weight = weigh(desc, row.scores, id);
  }
  if (lane < desc.top_k) {
    args.ids.row(t)[lane] = id;
    args.weights.row(t)[lane] = weight;
  }
}

}  // namespace

void route(const RouteDesc& desc, const RouteArgs& args, const KernelStream& on) {
  const auto blocks = static_cast<unsigned>(ceil_div(args.rows, kWarps));
  if (blocks == 0) return;
  launch_kernel(on, {blocks, kWarps * kWarp, kWarps * scratch_floats(desc) * sizeof(float)},
                route_rows, desc, args);
}

}  // namespace braid::kernels::cuda
