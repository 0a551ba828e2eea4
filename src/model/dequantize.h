// Stored rows of numbers to float32: plain, 8-bit with scales per block, NVFP4.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "model/storage_type.h"

namespace braid::model {

// Whether convert() reads the type: f32, bf16, f16.
bool is_plain_float(StorageType type);

// out[i] = element first + i of `stored`, exactly.
void convert(StorageType type, std::span<const std::byte> stored, int64_t first,
             std::span<float> out);

// One scale for each block of a matrix, [⌈n/rows⌉, ⌈k/columns⌉]. A scale per row is a block of one
// row, a scale per tensor is one block.
struct BlockScales {
  int64_t rows = 1;     // of the matrix, in a block
  int64_t columns = 1;  // of the matrix, in a block
  int64_t stride = 1;   // scales in a row of scales
  std::vector<float> scales;
};

// out[i] = e4m3(stored[i]) · the scale of the block of [row, first + i].
void dequantize_e4m3_row(std::span<const std::byte> stored, const BlockScales& scales, int64_t row,
                         int64_t first, std::span<float> out);

inline constexpr int64_t kNvfp4Group = 16;  // values that share a scale

// A row of an NVFP4 matrix [n, k]: two values a byte, the first in the low four bits.
struct Nvfp4Row {
  std::span<const std::byte> values;  // e2m1 [k/2]
  std::span<const std::byte> scales;  // e4m3 [k/16]
  float global_scale = 1.0f;          // weight_scale_2
};

// out[i] = (e2m1 · e4m3 scale of its group) · global_scale at column first + i. The first product
// is exact, so the value is rounded once.
void dequantize_nvfp4_row(const Nvfp4Row& row, int64_t first, std::span<float> out);

}  // namespace braid::model
