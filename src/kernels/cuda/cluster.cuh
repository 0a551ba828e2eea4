// What the blocks of a cluster write into each other's shared memory. The receiver waits on a
// barrier of its own until all bytes have come that it expects: no block waits for another's other
// stores, as it would at a barrier of the cluster.
#pragma once

#include <cstdint>

#include "kernels/gemm/cuda/sm90_async.cuh"

namespace braid::kernels::cuda::sm90 {

// Where block `rank` of the cluster has what this block has at a shared address.
__device__ inline uint32_t address_in(uint32_t address, uint32_t rank) {
  uint32_t mapped;
  asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(mapped) : "r"(address), "r"(rank));
  return mapped;
}

__device__ inline uint32_t cluster_rank() {
  uint32_t rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}

// All blocks of the cluster run, and see what each did before it arrived.
__device__ inline void arrive_at_cluster() {
  asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
}
__device__ inline void await_cluster() {
  asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
}

// Stores to addresses of address_in(); `barrier`, of the same block, is told the bytes.
__device__ inline void store_remote(uint32_t to, uint32_t value, uint32_t barrier) {
  asm volatile(
      "st.async.shared::cluster.mbarrier::complete_tx::bytes.b32 [%0], %1, [%2];" ::"r"(to),
      "r"(value), "r"(barrier)
      : "memory");
}
__device__ inline void store_remote(uint32_t to, float2 value, uint32_t barrier) {
  asm volatile(
      "st.async.shared::cluster.mbarrier::complete_tx::bytes.v2.f32 [%0], {%1, %2}, [%3];" ::"r"(
          to),
      "f"(value.x), "f"(value.y), "r"(barrier)
      : "memory");
}

}  // namespace braid::kernels::cuda::sm90
