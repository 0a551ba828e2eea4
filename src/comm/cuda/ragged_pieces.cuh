// What kernels that move rows between GPUs share: their blocks, and the pieces that rows are cut
// into.
#pragma once

#include <algorithm>

#include "comm/cuda/ragged_rows.h"

namespace braid::comm {

inline constexpr int kThreads = 32;
inline constexpr int kRegisters = 32;  // what a GEMM's 384 threads of 168 leave of an SM's
inline constexpr int kMostBlocks = 1024;
inline constexpr int kTurns = 4;  // units of a thread that are on their way at once
inline constexpr int kPiece = kThreads * kTurns;

// Where a member has the buffer. A peer's word was written while kernels ran here: never from a
// cache that does not see that.
__device__ inline std::byte* address_of(const PeerView& peers, int buffer, int member,
                                        std::byte* own) {
  if (member == peers.index) return own;
  const uint32_t place = __ldcv(peers.places + buffer * peers.size + member);
  return peers.arenas[member] + int64_t{place - 1} * kPlaceBytes;
}

// Rows as pieces of some units, dealt out to blocks; rows without gaps make up one long row. 32
// bits are enough for units of the largest workspace, and registers are few.
struct Pieces {
  uint32_t length;   // units of a row
  uint32_t per_row;  // pieces
  uint32_t count;

  __device__ Pieces(int64_t rows, int64_t row_units, bool gaps, int piece)
      : length(static_cast<uint32_t>(gaps ? row_units : rows * row_units)),
        per_row((length + piece - 1) / piece),
        count(gaps ? static_cast<uint32_t>(rows) * per_row : per_row) {}
};

// Writes `value` to rows [first, rows) of `data`.
template <typename Unit>
__device__ void fill(std::byte* data, int64_t stride, int64_t row_bytes, int64_t first,
                     int64_t rows, Unit value) {
  const Pieces pieces(max(rows - first, int64_t{0}), row_bytes / int64_t{sizeof(Unit)},
                      stride != row_bytes, kThreads);
#pragma unroll 1
  for (uint32_t piece = blockIdx.x; piece < pieces.count; piece += gridDim.x) {
    const uint32_t row = piece / pieces.per_row;
    const uint32_t at = (piece - row * pieces.per_row) * kThreads + threadIdx.x;
    if (at < pieces.length) reinterpret_cast<Unit*>(data + (first + row) * stride)[at] = value;
  }
}

inline unsigned blocks_for(int64_t units, int piece) {
  return static_cast<unsigned>(std::clamp<int64_t>((units + piece - 1) / piece, 1, kMostBlocks));
}

}  // namespace braid::comm
