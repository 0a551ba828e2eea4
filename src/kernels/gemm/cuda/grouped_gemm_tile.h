// The tile sizes that the grouped GEMM is compiled for.
#pragma once

#include <cstdint>

namespace braid::kernels::cuda {

// A block computes [rows, columns] of y at a time, with `stages` pieces of 64 columns of K on their
// way to it; its size lets `blocks_per_sm` run on an SM.
struct GroupedGemmTile {
  int32_t rows = 0;
  int32_t columns = 0;
  int32_t stages = 0;
  int32_t blocks_per_sm = 0;

  bool operator==(const GroupedGemmTile&) const = default;
};

// A few rows a slot: weights are read once, by as many blocks as can be.
inline constexpr GroupedGemmTile kTile64x64 = {64, 64, 6, 2};
// Tens of rows a slot: half as many reads of each row of x.
inline constexpr GroupedGemmTile kTile64x128 = {64, 128, 4, 2};
// Many rows a slot: the largest tile whose sums fit into registers.
inline constexpr GroupedGemmTile kTile128x256 = {128, 256, 4, 1};

}  // namespace braid::kernels::cuda
