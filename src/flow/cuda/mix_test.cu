#include "flow/cuda/mix_test_util.h"
#include "kernels/cuda/launch.cuh"

namespace braid::flow::testing {
namespace {

__device__ uint64_t scramble(uint64_t state) {
  state = (state ^ (state >> 31)) * 0x9e3779b97f4a7c15u;
  return state ^ (state >> 29);
}

__device__ int64_t live_rows(const MixArg& operand) {
  if (operand.count == nullptr) return operand.rows;
  const int64_t rows = *operand.count - operand.first_row;
  return rows < 0 ? 0 : (rows < operand.rows ? rows : operand.rows);
}

__device__ uint32_t* row_of(const MixArg& operand, int64_t row) {
  return reinterpret_cast<uint32_t*>(operand.data + row * operand.stride);
}

__device__ int64_t now_ns() {
  int64_t now = 0;
  asm volatile("mov.u64 %0, %globaltimer;" : "=l"(now));
  return now;
}

// What mix() in test_kinds.h does, word for word.
__global__ void mix_kernel(uint64_t seed, MixArgs operands, uint32_t* words, uint64_t num_words,
                           MixTiming timing) {
  kernels::cuda::release_successor();
  if (timing.awaits) kernels::cuda::await_predecessor();
  for (const int64_t end = now_ns() + timing.late_ns; timing.late_ns > 0 && now_ns() < end;) {
  }
  for (uint64_t i = 0; i < num_words; ++i) words[i] = static_cast<uint32_t>(scramble(seed + i));
  uint64_t state = seed;
  for (int i = 0; i < operands.size; ++i) {
    const MixArg& operand = operands.list[i];
    if (operand.data == nullptr || !operand.reads) continue;
    for (int64_t row = 0; row < live_rows(operand); ++row) {
      for (int64_t col = 0; col < operand.cols; ++col) {
        state = scramble(state + row_of(operand, row)[col]);
      }
    }
  }
  for (uint64_t i = 0; i < num_words; ++i) state = scramble(state + words[i]);
  for (int i = 0; i < operands.size; ++i) {
    const MixArg& operand = operands.list[i];
    if (operand.data == nullptr || !operand.writes) continue;
    for (int64_t row = 0; row < live_rows(operand); ++row) {
      for (int64_t col = 0; col < operand.cols; ++col) {
        row_of(operand, row)[col] =
            static_cast<uint32_t>(state = scramble(state + static_cast<uint64_t>(i)));
      }
    }
  }
}

}  // namespace

void launch_mix(uint64_t seed, const MixArgs& operands, void* scratch, int64_t scratch_bytes,
                const kernels::cuda::KernelStream& on, const MixTiming& timing) {
  kernels::cuda::launch_kernel(on, {1, 1}, mix_kernel, seed, operands,
                               static_cast<uint32_t*>(scratch),
                               static_cast<uint64_t>(scratch_bytes) / sizeof(uint32_t), timing);
}

}  // namespace braid::flow::testing
