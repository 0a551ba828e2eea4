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

// Keys stand on 16 bytes and are filled up to whole fours with kNotHere.
constexpr int padded_keys(int count) { return (count + 3) / 4 * 4; }

__device__ inline int count_lower(const int32_t* keys, int count, int32_t key) {
  int lower = 0;
#pragma unroll 4
  for (int i = 0; i < count; i += 4) {
    const int4 four = *reinterpret_cast<const int4*>(keys + i);
    lower += (four.x < key) + (four.y < key) + (four.z < key) + (four.w < key);
  }
  return lower;
}

// What permute() makes.
struct Places {
  int32_t* offsets;
  int32_t* source;
  Matrix<int32_t> places;
};

// Thread `thread` of `threads` does its share of the choices and of the slots. Choice i is the i %
// of_row-th of row i / of_row.
__device__ inline void place_keys(const int32_t* keys, int choices, int of_row, int num_slots,
                                  const Places& out, int thread, int threads) {
  for (int i = thread; i < choices + num_slots + 1; i += threads) {
    const int slot = i - choices;
    const int32_t key = slot >= 0 ? slot << kChoiceBits : keys[i];
    const int before = count_lower(keys, choices, key);
    if (slot >= 0) {
      out.offsets[slot] = before;
      continue;
    }
    const int row = i / of_row;
    const bool here = key != kNotHere;
    out.places.row(row)[i - row * of_row] = here ? before : -1;
    if (here) out.source[before] = row;
  }
}

}  // namespace braid::kernels::cuda
