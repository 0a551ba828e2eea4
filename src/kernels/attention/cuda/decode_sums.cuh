// Sums of softmax-weighted values over some positions of a row, as a thread holds them, and how the
// sums of two stretches of positions become those of both.
#pragma once

#include <cstdint>

#include "kernels/cuda/device.cuh"

namespace braid::kernels::cuda {

// 2^x; 0 where the result would be subnormal.
__device__ inline float power_of_two(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// Of one query head: the exponents (scores in units of log 2) are taken relative to `peak`, an
// integer not below the largest of them, so that moving to another peak scales by an exact power
// of two.
struct Weighing {
  float peak;
  float sum;  // of the weights 2^(exponent − peak)
};

// By what the sums of two stretches are multiplied before they are added.
struct MergeFactors {
  float first;
  float second;
};

__device__ inline MergeFactors merge(Weighing& first, const Weighing& second) {
  const float peak = fmaxf(first.peak, second.peak);
  const MergeFactors factors = {power_of_two(first.peak - peak), power_of_two(second.peak - peak)};
  first = {peak, __fmaf_rn(first.sum, factors.first, __fmul_rn(second.sum, factors.second))};
  return factors;
}

__device__ inline float merge(float first, float second, const MergeFactors& factors) {
  return __fmaf_rn(first, factors.first, __fmul_rn(second, factors.second));
}

// A thread's part of the sums over a stretch: kRows query heads, kColumns columns of each.
template <int kRows, int kColumns>
struct Sums {
  Weighing weighing[kRows];
  float values[kRows][kColumns];

  // Adds the stretch of positions behind this one.
  __device__ __forceinline__ void append(const Sums& next) {
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const MergeFactors factors = merge(weighing[r], next.weighing[r]);
#pragma unroll
      for (int c = 0; c < kColumns; ++c) {
        values[r][c] = merge(values[r][c], next.values[r][c], factors);
      }
    }
  }
};

// Sums of leaves that come one after another, merged as a tree: two leaves, two pairs, and so on.
// Level n holds the sums of 2^n leaves that wait for the 2^n behind them.
template <typename Node, int kNear>
class TreeSums {
 public:
  // Levels from kNear on, which are touched once in 2^kNear leaves. They are found by an index and
  // so lie in memory; being no members, they leave the others in registers.
  struct Far {
    Node levels[16 - kNear];
  };
  __device__ explicit TreeSums(Far& far) : far_(far.levels) {}

  __device__ __forceinline__ void add(const Node& node) {
    put<0>(node, count_);
    ++count_;
  }

  // The sums of all leaves, of which `node` is the last.
  __device__ __forceinline__ Node finish(Node node) {
    collect<0>(node);
    return node;
  }

 private:
  // Levels are template arguments, not the indices of loops: otherwise the compiler finds one store
  // for all of them, and they end up in memory.
  template <int kLevel>
  __device__ __forceinline__ void put(Node node, int index) {
    if constexpr (kLevel < kNear) {
      if ((index >> kLevel & 1) == 0) {
        near_[kLevel] = node;
      } else {
        put<kLevel + 1>(merged(near_[kLevel], node), index);
      }
    } else {
      int level = kLevel;
      for (; (index >> level & 1) != 0; ++level) node = merged(far_[level - kNear], node);
      far_[level - kNear] = node;
    }
  }

  template <int kLevel>
  __device__ __forceinline__ void collect(Node& node) {
    if constexpr (kLevel < kNear) {
      if ((count_ >> kLevel & 1) != 0) node = merged(near_[kLevel], node);
      collect<kLevel + 1>(node);
    } else {
      for (int level = kNear; count_ >> level != 0; ++level) {
        if ((count_ >> level & 1) != 0) node = merged(far_[level - kNear], node);
      }
    }
  }

  __device__ __forceinline__ static Node merged(Node first, const Node& second) {
    first.append(second);
    return first;
  }

  int count_ = 0;
  Node near_[kNear];
  Node* far_;
};

}  // namespace braid::kernels::cuda
