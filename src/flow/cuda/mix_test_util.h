// For tests: the kernel of testing::Mix on a GPU, on one thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/kernel_stream.h"

namespace braid::flow::testing {

struct MixArg {
  std::byte* data;
  int64_t stride;
  int64_t first_row;
  int64_t rows;
  int64_t cols;
  const int32_t* count;
  bool reads;
  bool writes;
};

struct MixArgs {
  MixArg list[9];
  int size;
};

// How it behaves to the kernels around it (kernels/cuda/launch.cuh).
struct MixTiming {
  bool awaits = true;   // the kernel before it; tests that leave it out go wrong
  int64_t late_ns = 0;  // that it waits before it reads and writes
};

void launch_mix(uint64_t seed, const MixArgs& operands, void* scratch, int64_t scratch_bytes,
                const kernels::cuda::KernelStream& on, const MixTiming& timing = {});

}  // namespace braid::flow::testing
