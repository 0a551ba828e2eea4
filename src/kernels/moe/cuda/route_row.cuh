// Routing of one row by a warp: bit for bit what the CPU gives for the same logits.
#pragma once

#include <cfloat>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/exp.cuh"
#include "kernels/hash.h"
#include "kernels/moe/route_args.h"

namespace braid::kernels::cuda::routing {

constexpr float kInfinity = __builtin_huge_valf();

__device__ inline int lane_of_warp() { return static_cast<int>(threadIdx.x) % kWarp; }

// One row's intermediate results, in shared memory.
struct RowScratch {
  float* scores;     // [E], what weights are taken from
  float* selection;  // [E], what experts are chosen by
  float* groups;     // [groups]
};

// Floats of scratch that a row takes.
constexpr size_t route_row_floats(const RouteDesc& desc) {
  return 2 * static_cast<size_t>(desc.num_experts) + static_cast<size_t>(desc.num_groups);
}

// Which of up to 1024 indices are taken: lane i % 32 keeps bit i / 32.
struct Taken {
  uint32_t bits = 0;

  // For an index of any lane's; called by all lanes.
  __device__ bool any(int index) const {
    return (__shfl_sync(kAllLanes, bits, index % kWarp) >> (index / kWarp) & 1u) != 0;
  }
  __device__ void take(int index) {
    if (index % kWarp == lane_of_warp()) bits |= 1u << (index / kWarp);
  }
};

// A higher value has a higher key; zeros of either sign are equal, NaN is −infinity. No key is 0.
__device__ inline uint32_t key_of_value(float value) {
  const uint32_t bits = __float_as_uint(isnan(value) ? -kInfinity : __fadd_rn(value, 0.0f));
  return bits >> 31 != 0 ? ~bits : bits | 0x80000000u;
}
__device__ inline float value_of_key(uint32_t key) {
  return __uint_as_float(key >> 31 != 0 ? key & 0x7fffffffu : ~key);
}

// Finds the highest of up to kPerLane · 32 values, and takes it, again and again: the lowest index
// of equals. A NaN in front of all others is the highest, elsewhere the lowest: so compares a
// search from the front. Lane i has values i, 32 + i, … in its registers.
template <int kPerLane>
class Ranking {
 public:
  __device__ Ranking(const float* values, int count) {
    const int lane = lane_of_warp();
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) {
      const int index = i * kWarp + lane;
      const float value = index < count ? values[index] : 0.0f;
      if (isnan(value)) nans_ |= 1u << i;
      keys_[i] = index < count ? key_of_value(value) : kTaken;
    }
    any_nan_ = __any_sync(kAllLanes, nans_ != 0);
  }

  // The index of the highest value that is left.
  __device__ int take() {
    int index = any_nan_ ? nan_in_front() : kNone;
    if (index == kNone) {
      uint32_t best = 0;
#pragma unroll
      for (int i = 0; i < kPerLane; ++i) best = max(best, keys_[i]);
      best = __reduce_max_sync(kAllLanes, best);
      index = first_where([best](uint32_t key) { return key == best; });
    }
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) {
      if (i * kWarp + lane_of_warp() == index) keys_[i] = kTaken;
    }
    return index;
  }

 private:
  static constexpr int kNone = 0x7fffffff;
  static constexpr uint32_t kTaken = 0;  // lower than the key of any value

  template <typename Condition>
  __device__ int first_where(Condition condition) const {
    int index = kNone;
#pragma unroll
    for (int i = kPerLane - 1; i >= 0; --i) {
      if (condition(keys_[i])) index = i * kWarp + lane_of_warp();
    }
    return __reduce_min_sync(kAllLanes, index);
  }
  // The index of the first value that is left, where it is a NaN.
  __device__ int nan_in_front() const {
    const int front = first_where([](uint32_t key) { return key != kTaken; });
    const bool mine = front % kWarp == lane_of_warp() && (nans_ >> (front / kWarp) & 1u) != 0;
    return __any_sync(kAllLanes, mine) ? front : kNone;
  }

  uint32_t keys_[kPerLane];
  uint32_t nans_ = 0;  // bit i: value i of this lane is one
  bool any_nan_ = false;
};

// Calls body(ranking) with the Ranking that has room for `count` ≤ 1024 values.
template <typename Body>
__device__ inline void rank(const float* values, int count, Body body) {
  if (count <= kWarp) return body(Ranking<1>(values, count));
  if (count <= 4 * kWarp) return body(Ranking<4>(values, count));
  if (count <= 8 * kWarp) return body(Ranking<8>(values, count));
  if (count <= 16 * kWarp) return body(Ranking<16>(values, count));
  body(Ranking<32>(values, count));
}

// The highest of value(0) … value(count − 1) as a search from the front finds it: NaN if the first
// is one, other NaNs don't count.
template <typename Value>
__device__ inline float highest_of(int count, Value value) {
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

__device__ inline void score(const RouteDesc& desc, const float* logits, float* scores) {
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
__device__ inline float group_score(GroupScore kind, const float* values, int count) {
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
__device__ inline void limit_groups(const RouteDesc& desc, const RowScratch& row) {
  const int lane = lane_of_warp();
  const int size = desc.num_experts / desc.num_groups;
  for (int g = lane; g < desc.num_groups; g += kWarp) {
    row.groups[g] = group_score(desc.group_score, row.selection + g * size, size);
  }
  __syncwarp();
  Taken kept;
  rank(row.groups, desc.num_groups, [&](auto ranking) {
    for (int i = 0; i < desc.topk_groups; ++i) kept.take(ranking.take());
  });
  for (int first = 0; first < desc.num_experts; first += kWarp) {
    const int e = first + lane;
    const bool keep = kept.any(min(e, desc.num_experts - 1) / size);
    if (!keep && e < desc.num_experts) row.selection[e] = -kInfinity;
  }
  __syncwarp();
}

// The choices below return the id of place `lane`, for lanes < top_k.

__device__ inline int choose_by_scores(const RouteDesc& desc, const float* bias,
                                       const RowScratch& row) {
  const int lane = lane_of_warp();
  for (int e = lane; e < desc.num_experts; e += kWarp) {
    row.selection[e] = bias == nullptr ? row.scores[e] : __fadd_rn(row.scores[e], bias[e]);
  }
  __syncwarp();
  if (desc.num_groups > 1) limit_groups(desc, row);
  int id = 0;
  rank(row.selection, desc.num_experts, [&](auto ranking) {
    for (int k = 0; k < desc.top_k; ++k) {
      const int expert = ranking.take();
      if (k == lane) id = expert;
    }
  });
  return id;
}

// How many of `cumulative` are at most `point`: where std::upper_bound points.
__device__ inline int upper_bound(const float* cumulative, int count, double point) {
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
__device__ inline int choose_by_popularity(const RouteDesc& desc, const float* cumulative,
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

__device__ inline int choose(const RouteDesc& desc, const RouteArgs& args, int64_t t,
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

// The weight of place `lane`, from its expert's score, as the Desc wants it.
__device__ inline float weigh(const RouteDesc& desc, float weight) {
  const int count = desc.top_k;
  const int place = min(lane_of_warp(), count - 1);
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
__device__ inline void count(const RouteDesc& desc, const RouteArgs& args, int64_t t, int id) {
  static_assert(sizeof(unsigned long long) == sizeof(uint64_t));
  if (lane_of_warp() >= desc.top_k) return;
  uint64_t* heat = args.heat.row(args.first_row + t < desc.decode_rows ? 0 : 1);
  atomicAdd(reinterpret_cast<unsigned long long*>(heat + id), 1ull);
}

// What a row chooses: for place `lane` < top_k an expert and its score. Id −1: the row is padding.
struct Chosen {
  int id = -1;
  float score = 0;
};

// The choice of row t, by a warp: `scratch` has route_row_floats() floats of shared memory,
// `logits` are the row's own.
__device__ inline Chosen choose_row(const RouteDesc& desc, const RouteArgs& args, int64_t t,
                                    const float* logits, int32_t kv_slot, float* scratch) {
  if (kv_slot < 0) return {};
  const RowScratch row{scratch, scratch + desc.num_experts, scratch + 2 * desc.num_experts};
  score(desc, logits, row.scores);
  const int id = choose(desc, args, t, row);
  return {id, row.scores[id]};
}

// Counts, weighs and writes what row t has chosen, by a warp.
__device__ inline void finish_row(const RouteDesc& desc, const RouteArgs& args, int64_t t,
                                  const Chosen& chosen) {
  const bool is_padding = __shfl_sync(kAllLanes, chosen.id, 0) < 0;
  if (args.heat.data != nullptr && !is_padding) count(desc, args, t, chosen.id);
  const float weight = is_padding ? 0.0f : weigh(desc, chosen.score);
  if (lane_of_warp() >= desc.top_k) return;
  args.ids.row(t)[lane_of_warp()] = chosen.id;
  args.weights.row(t)[lane_of_warp()] = weight;
}

}  // namespace braid::kernels::cuda::routing
