// For tests: the kernel of testing::Mix on a GPU, on one thread.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

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

void launch_mix(uint64_t seed, const MixArgs& operands, void* scratch, int64_t scratch_bytes,
                cudaStream_t stream);

}  // namespace braid::flow::testing
