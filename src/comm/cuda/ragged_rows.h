// Kernels that move and add up rows in the memory of several GPUs, by counts that they read on the
// device. What may be read and written when is their caller's to order.
//
// Blocks are one warp with 32 registers and no shared memory, so that they run beside a GEMM that
// fills every SM with a block of its own. Alone, 1024 of them run at once and keep 2 MiB on their
// way, several times what a link of 400 GB/s needs at a latency of a microsecond; beside such a
// GEMM it is one an SM, 264 KiB on an H100, which still comes close to it.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

namespace braid::comm {

inline constexpr int kMaxMembers = 16;
inline constexpr int kMaxMoved = 8;
inline constexpr int kPlaceBytes = 16;

// A group of GPUs, as one of them sees it.
struct PeerView {
  std::byte* arenas[kMaxMembers];    // of every member, in this process's addresses
  const uint32_t* places = nullptr;  // [buffers, size]: 1 + byte / kPlaceBytes in that arena
  const int32_t* counts = nullptr;   // rows of each member
  int64_t counts_stride = 1;         // elements from one to the next
  int size = 1;
  int index = 0;
};

// One buffer of a gather. Strides are in bytes and alike on all members.
struct PushedRows {
  const std::byte* in = nullptr;  // this member's rows
  int64_t in_stride = 0;
  int64_t in_rows = 0;
  std::byte* out = nullptr;  // in this member's arena; `places` says where the others have it
  int64_t out_stride = 0;
  int64_t out_rows = 0;
  int64_t row_bytes = 0;
  bool fill = false;  // rows of `out` that no member has become bytes of 0xff; else they stay
  int unit = 1;       // bytes moved at once: 16, 4 or 1, of which addresses and sizes are multiples
};

struct Pushed {
  PushedRows buffers[kMaxMoved];
  int count = 0;
};

// The largest unit for these rows.
int unit_of(const PushedRows& rows);

// Writes the first counts[index] rows of every buffer to all members, at row
// counts[0] + … + counts[index − 1].
void push_rows(const Pushed& rows, const PeerView& peers, cudaStream_t stream);

enum class SumFormat { f32, bf16 };

struct SummedRows {
  const std::byte* in = nullptr;  // in this member's arena; places[0] says where the others have it
  int64_t in_stride = 0;          // bytes, alike on all members
  int64_t in_rows = 0;
  std::byte* out = nullptr;
  int64_t out_stride = 0;
  int64_t out_rows = 0;
  int64_t cols = 0;
  SumFormat format = SumFormat::f32;
  bool packed = false;  // 16 bytes are added at once: addresses and sizes are multiples of it
};

// Whether these rows can be.
bool can_pack(const SummedRows& rows);

// out[row] = Σ_m in_m[counts[0] + … + counts[index − 1] + row] for row < counts[index], in the
// order of members, in float32, rounded once; zeros in the rows behind.
void sum_rows(const SummedRows& rows, const PeerView& peers, cudaStream_t stream);

}  // namespace braid::comm
