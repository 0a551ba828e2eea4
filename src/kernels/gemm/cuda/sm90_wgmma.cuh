// Hopper's asynchronous matrix product of a warpgroup (PTX ISA 8.0: wgmma), bf16 with float32 sums.
#pragma once

#include <cstdint>

namespace braid::kernels::cuda::sm90 {

// Depth of one instruction, and of a tile: rows of 64 bf16 fill 128 bytes.
inline constexpr int kWgmmaDepth = 16;
inline constexpr int kTileDepth = 64;
inline constexpr int kTileRowBytes = 128;

// A tile in shared memory is [rows, 64] bf16, rows one after the other, from an address of 1024.
// Of the 8 pieces of 16 bytes of row r, piece p stands where piece p ^ (r % 8) would: the 128-byte
// swizzle of tensor maps and wgmma, which spreads a column over the banks.
__device__ inline uint32_t swizzled(uint32_t row, uint32_t piece) {
  return row * kTileRowBytes + ((piece ^ (row & 7)) << 4);
}

// How wgmma is told of such a tile: its address, 1024 bytes from 8 rows to the next 8, the 128-byte
// swizzle. All fields count in 16 bytes, so 16 columns further is 2 more.
__device__ inline uint64_t tile_descriptor(uint32_t address) {
  constexpr uint64_t kSwizzle128 = uint64_t{1} << 62;
  constexpr uint64_t kEightRows = uint64_t{8 * kTileRowBytes / 16} << 32;
  constexpr uint64_t kUnusedWithSwizzle = uint64_t{1} << 16;
  return kSwizzle128 | kEightRows | kUnusedWithSwizzle | ((address & 0x3ffff) >> 4);
}
inline constexpr uint64_t kDescriptorStep = kWgmmaDepth * 2 / 16;

// Before the first product that uses registers or shared memory which this warpgroup has written.
__device__ inline void wgmma_begin() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
// Ends a group of products; wgmma_wait<N> leaves at most the N youngest groups unfinished.
__device__ inline void wgmma_commit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
template <int kUnfinished>
__device__ void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kUnfinished) : "memory");
}

// Keeps the compiler from moving uses of sums over the point where this stands.
template <int kCount>
__device__ void fence_registers(float (&values)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) asm volatile("" : "+f"(values[i])::"memory");
}

// Operands of the instructions below: numbers of the sums, and the sums.
// clang-format off
#define BRAID_SUMS_0_31 \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define BRAID_SUMS_32_63 \
  "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
  "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define BRAID_SUMS_64_127 \
  "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, " \
  "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, " \
  "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, " \
  "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"
#define BRAID_SUM_8(i) \
  "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), \
  "+f"(d[i + 4]), "+f"(d[i + 5]), "+f"(d[i + 6]), "+f"(d[i + 7])
#define BRAID_SUM_32(i) BRAID_SUM_8(i), BRAID_SUM_8(i + 8), BRAID_SUM_8(i + 16), BRAID_SUM_8(i + 24)
// clang-format on

// d = a · bᵀ (+ d where `add`): a [64, 16], b [kColumns, 16]. Thread t of the warpgroup holds of d,
// with row = t / 32 · 16 + t % 32 / 4 and column = t % 4 · 2, for each j < kColumns / 8:
// d[4j], d[4j + 1] at (row, 8j + column), (row, 8j + column + 1); d[4j + 2], d[4j + 3] 8 rows
// below.
template <int kColumns>
__device__ void wgmma(float (&d)[kColumns / 2], uint64_t a, uint64_t b, uint32_t add);

template <>
__device__ inline void wgmma<64>(float (&d)[32], uint64_t a, uint64_t b, uint32_t add) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %34, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" BRAID_SUMS_0_31
      "}, %32, %33, p, 1, 1, 0, 0;\n}\n"
      : BRAID_SUM_32(0)
      : "l"(a), "l"(b), "r"(add));
}

template <>
__device__ inline void wgmma<128>(float (&d)[64], uint64_t a, uint64_t b, uint32_t add) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %66, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" BRAID_SUMS_0_31
      ", " BRAID_SUMS_32_63 "}, %64, %65, p, 1, 1, 0, 0;\n}\n"
      : BRAID_SUM_32(0), BRAID_SUM_32(32)
      : "l"(a), "l"(b), "r"(add));
}

template <>
__device__ inline void wgmma<256>(float (&d)[128], uint64_t a, uint64_t b, uint32_t add) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %130, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16 {" BRAID_SUMS_0_31
      ", " BRAID_SUMS_32_63 ", " BRAID_SUMS_64_127 "}, %128, %129, p, 1, 1, 0, 0;\n}\n"
      : BRAID_SUM_32(0), BRAID_SUM_32(32), BRAID_SUM_32(64), BRAID_SUM_32(96)
      : "l"(a), "l"(b), "r"(add));
}

#undef BRAID_SUMS_0_31
#undef BRAID_SUMS_32_63
#undef BRAID_SUMS_64_127
#undef BRAID_SUM_8
#undef BRAID_SUM_32

}  // namespace braid::kernels::cuda::sm90
