// The order of few choices by slot, then by choice: each is a key, and its place is how many keys
// are lower. No counters, no order between threads.
#pragma once

#include "kernels/cuda/device.cuh"

namespace braid::kernels::cuda {

inline constexpr int kChoiceBits = 16;
inline constexpr int32_t kNotHere = 0x7fffffff;  // behind all keys

__device__ inline int32_t key_of(int slot, int choice) {
  return slot < 0 ? kNotHere : slot << kChoiceBits | choice;
}

// How many of `keys` are lower. By a warp.
__device__ inline int count_lower(const int32_t* keys, int count, int32_t key) {
  int lower = 0;
  for (int i = static_cast<int>(threadIdx.x) % kWarp; i < count; i += kWarp) lower += keys[i] < key;
  return __reduce_add_sync(kAllLanes, lower);
}

// What permute() makes.
struct Places {
  int32_t* offsets;
  int32_t* source;
  Matrix<int32_t> places;
};

// Warp `warp` of `warps` does its share of the choices and of the slots. Choice i is the i %
// of_row-th of row i / of_row.
__device__ inline void place_keys(const int32_t* keys, int choices, int of_row, int num_slots,
                                  const Places& out, int warp, int warps) {
  const bool writes = threadIdx.x % kWarp == 0;
  for (int i = warp; i < choices + num_slots + 1; i += warps) {
    if (i >= choices) {
      const int slot = i - choices;
      const int before = count_lower(keys, choices, slot << kChoiceBits);
      if (writes) out.offsets[slot] = before;
      continue;
    }
    const int32_t key = keys[i];
    const int place = key == kNotHere ? -1 : count_lower(keys, choices, key);
    if (!writes) continue;
    const int row = i / of_row;
    out.places.row(row)[i % of_row] = place;
    if (place >= 0) out.source[place] = row;
  }
}

}  // namespace braid::kernels::cuda
