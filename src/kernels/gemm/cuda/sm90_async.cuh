// Hopper's asynchronous copies and the barriers that they signal (PTX ISA 8.0: mbarrier, cp.async,
// cp.async.bulk.tensor). Addresses of shared memory are 32-bit, as the instructions take them.
#pragma once

#include <cuda.h>

#include <cstdint>

namespace braid::kernels::cuda::sm90 {

__device__ inline uint32_t shared_address(const void* pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

// An mbarrier: a phase ends when `arrivals` arrivals and all announced bytes have come. Phases
// alternate in parity; the first has parity 0.
__device__ inline void barrier_init(uint32_t barrier, uint32_t arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}

// Makes initialised barriers known to the unit that runs bulk copies. Then comes __syncthreads().
__device__ inline void publish_barriers() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

__device__ inline void barrier_arrive(uint32_t barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}

// Arrives, and announces bytes that bulk copies will bring in this phase.
__device__ inline void barrier_arrive_expect(uint32_t barrier, uint32_t bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
               : "memory");
}

// Waits for the end of the phase of this parity. On a new barrier, waiting for parity 1 returns at
// once: the phase before the first counts as ended.
__device__ inline void barrier_wait(uint32_t barrier, uint32_t parity) {
  uint32_t done = 0;
#ifdef BRAID_SPIN_LIMIT  // of a build for tests: what would wait for ever is an error instead
  uint32_t tries = 0;
#endif
  do {
#ifdef BRAID_SPIN_LIMIT
    if (++tries > BRAID_SPIN_LIMIT) __trap();
#endif
    asm volatile(
        "{\n"
        ".reg .pred p;\n"
        "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n"
        "selp.u32 %0, 1, 0, p;\n"
        "}\n"
        : "=r"(done)
        : "r"(barrier), "r"(parity)
        : "memory");
  } while (done == 0);
}

// What this thread wrote to shared memory becomes visible to wgmma and bulk copies of whoever
// synchronises with it afterwards.
__device__ inline void fence_async_proxy() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

__device__ inline void prefetch_tensor_map(const CUtensorMap& map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(&map) : "memory");
}

// Copies the box at (column, row) of a two-dimensional tensor to `to`, and its bytes to `barrier`.
__device__ inline void copy_box(uint32_t to, const CUtensorMap& map, int32_t column, int32_t row,
                                uint32_t barrier) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes "
      "[%0], [%1, {%2, %3}], [%4];" ::"r"(to),
      "l"(&map), "r"(column), "r"(row), "r"(barrier)
      : "memory");
}

// How long what a copy brings stays in the L2 cache: weights that are read once a step go first.
__device__ inline uint64_t evict_first() {
  uint64_t policy;
  asm volatile("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
  return policy;
}

// As copy_box(), of a three-dimensional tensor.
__device__ inline void copy_box(uint32_t to, const CUtensorMap& map, int32_t first, int32_t second,
                                int32_t third, uint32_t barrier, uint64_t policy) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes"
      ".L2::cache_hint [%0], [%1, {%2, %3, %4}], [%5], %6;" ::"r"(to),
      "l"(&map), "r"(first), "r"(second), "r"(third), "r"(barrier), "l"(policy)
      : "memory");
}

// Copies `bytes`, and signals them to `barrier`. Both addresses and `bytes` are multiples of 16.
__device__ inline void copy_bulk(uint32_t to, const void* from, uint32_t bytes, uint32_t barrier,
                                 uint64_t policy) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint "
      "[%0], [%1], %2, [%3], %4;" ::"r"(to),
      "l"(from), "r"(bytes), "r"(barrier), "l"(policy)
      : "memory");
}

// Copies `bytes` ≤ 16 bytes and fills up to 16 with zeros. Both addresses are multiples of 16.
__device__ inline void copy_16(uint32_t to, const void* from, uint32_t bytes) {
  asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(to), "l"(from),
               "r"(bytes)
               : "memory");
}

// Arrives at the barrier when all copies of this thread's copy_16 so far have ended.
__device__ inline void barrier_arrive_after_copies(uint32_t barrier) {
  asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" ::"r"(barrier) : "memory");
}

// Ends a group of this thread's copy_16; wait_copies<N> leaves at most the N youngest unfinished.
__device__ inline void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int kUnfinished>
__device__ void wait_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kUnfinished) : "memory");
}

// Four matrices of 8 by 8 elements of two bytes: lane i gives the address of row i % 8 of matrix
// i / 8, and gets elements 2 (i % 4), 2 (i % 4) + 1 of row i / 4 of each.
__device__ inline uint4 load_matrices(uint32_t from) {
  uint4 words;
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(words.x), "=r"(words.y), "=r"(words.z), "=r"(words.w)
               : "r"(from)
               : "memory");
  return words;
}
// The same of the transposed matrices.
__device__ inline uint4 load_matrices_transposed(uint32_t from) {
  uint4 words;
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(words.x), "=r"(words.y), "=r"(words.z), "=r"(words.w)
               : "r"(from)
               : "memory");
  return words;
}

__device__ inline void store_16(uint32_t to, uint4 value) {
  asm volatile("st.shared.v4.u32 [%0], {%1, %2, %3, %4};" ::"r"(to), "r"(value.x), "r"(value.y),
               "r"(value.z), "r"(value.w)
               : "memory");
}

__device__ inline uint4 load_16(uint32_t from) {
  uint4 value;
  asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(value.x), "=r"(value.y), "=r"(value.z), "=r"(value.w)
               : "r"(from)
               : "memory");
  return value;
}

}  // namespace braid::kernels::cuda::sm90
