#include "device/cuda/spin.h"

namespace braid::device {
namespace {

__device__ int64_t global_ns() {
  int64_t now;
  asm volatile("mov.u64 %0, %globaltimer;" : "=l"(now));
  return now;
}

__global__ void spin_kernel(int64_t nanoseconds) {
  const int64_t start = global_ns();
  while (nanoseconds < 0 || global_ns() - start < nanoseconds) __nanosleep(200);
}

}  // namespace

void spin(cudaStream_t stream, int64_t nanoseconds) {
  spin_kernel<<<1, 1, 0, stream>>>(nanoseconds);
}

}  // namespace braid::device
