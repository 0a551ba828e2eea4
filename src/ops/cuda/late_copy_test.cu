#include "kernels/cuda/launch.cuh"
#include "ops/cuda/late_copy_test_util.h"

namespace braid::ops::testing {
namespace {

constexpr int kThreads = 256;

__device__ int64_t now_ns() {
  int64_t now = 0;
  asm volatile("mov.u64 %0, %globaltimer;" : "=l"(now));
  return now;
}

// One block a piece.
__global__ void late_copy(const Piece* pieces, int64_t late_ns) {
  kernels::cuda::release_successor();
  for (const int64_t end = now_ns() + late_ns; now_ns() < end;) {
  }
  const Piece piece = pieces[blockIdx.x];
  for (int64_t i = threadIdx.x; i < piece.bytes; i += kThreads) piece.to[i] = piece.from[i];
}

__global__ void impatient_copy(Piece piece) {
  for (int64_t i = threadIdx.x; i < piece.bytes; i += kThreads) piece.to[i] = piece.from[i];
}

}  // namespace

void launch_impatient_copy(const Piece& piece, const kernels::cuda::KernelStream& on) {
  kernels::cuda::launch_kernel(on, {1, kThreads}, impatient_copy, piece);
}

void launch_late_copy(const Piece* pieces, int count, int64_t late_ns, cudaStream_t stream) {
  late_copy<<<static_cast<unsigned>(count), kThreads, 0, stream>>>(pieces, late_ns);
}

}  // namespace braid::ops::testing
