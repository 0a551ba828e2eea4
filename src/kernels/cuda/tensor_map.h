// Tensor maps, by which bulk copies find boxes of a matrix.
#pragma once

#include <cuda.h>

#include <cstdint>

namespace braid::kernels::cuda {

// W [rows, cols] bf16 in boxes of `box_rows` rows by 64 columns, swizzled over 128 bytes; zeros
// beyond W's edges. w and its stride (in elements) are aligned to 16 bytes.
CUtensorMap weight_tiles(const void* w, int64_t rows, int64_t cols, int64_t stride,
                         int64_t box_rows);

// The same W with its columns in blocks of 64, as [cols / 64, rows, 64]: boxes of `box_rows`
// rows, a multiple of 8, by `box_blocks` blocks, found at (0, row, block). A box lies block by
// block, each [box_rows, 64] and swizzled as above. cols is a multiple of 64; the L2 cache fetches
// what is asked for and no more.
CUtensorMap weight_boxes(const void* w, int64_t rows, int64_t cols, int64_t stride,
                         int64_t box_blocks, int64_t box_rows = 8);

}  // namespace braid::kernels::cuda
