// A kernel that does nothing for a while: random delays, and hangs that tests ask for.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace braid::device {

inline constexpr int64_t kSpinForever = -1;

// One thread that spins for `nanoseconds`.
void spin(cudaStream_t stream, int64_t nanoseconds);

}  // namespace braid::device
