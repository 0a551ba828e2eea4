// The grouped GEMM for few rows, which streams weights: its kernels as stream_grouped.cc launches
// them, compiled for a few depths of K and lengths of lists, each in a file of its own.
#pragma once

#include <cuda.h>

#include <cstdint>

#include "kernels/cuda/kernel_stream.h"

namespace braid::kernels::cuda::sm90 {

// Addresses, and elements from row to row.
struct StreamedRows {
  const void* data = nullptr;
  int64_t stride = 0;
};

// Of a product by row: row t of y is Σ_i weights[t, i] · x[places[t, i]] · W[slot of the place]ᵀ in
// the order of i, where places of −1 add nothing and those behind `top_k` have the weight 1; then
// `shared` and `residual` are added to it, where they are, each sum rounded.
struct StreamedChoices {
  const int32_t* places = nullptr;  // [num_rows, num_places]
  int64_t places_stride = 0;
  const float* weights = nullptr;  // [num_rows, top_k]
  int64_t weights_stride = 0;
  StreamedRows shared;    // bf16 [num_rows, n]
  StreamedRows residual;  // the same
  int32_t num_rows = 0;
  int32_t num_places = 0;
  int32_t top_k = 0;
};

// What a kernel is given beside the weights' tensor map (weight_boxes()). Strides are in elements.
struct StreamGroupedParams {
  StreamedRows x;                    // bf16 [·, k], rows at multiples of 16 bytes
  const int32_t* source = nullptr;   // x's row for each grouped row; null: the same
  const int32_t* offsets = nullptr;  // [num_slots + 1]
  void* y = nullptr;
  int64_t y_stride = 0;
  int32_t num_slots = 0;
  int32_t n = 0;  // a multiple of 16
  int32_t k = 0;  // a multiple of 64
  bool swiglu = false;
  bool f32_y = false;       // else bf16
  StreamedChoices choices;  // of a product by row, which has neither source nor swiglu nor f32_y

  // Weights, offsets, source and choices are there before the kernel in front ends.
  bool early = false;

  int32_t box_blocks = 0;  // of 64 columns, that a stage holds
  int32_t num_stages = 0;
  int32_t max_lists = 0;  // that a block makes
};

struct StreamGroupedLaunch {
  int32_t blocks = 0;
  KernelStream on;
};

// How a kernel is compiled. `boxes` of a tile of which each warp takes up to `warp_blocks` blocks
// of columns; 0: any number, and rows of x are read anew for every few tiles instead of kept.
struct StreamGroupedForm {
  int32_t rows = 0;   // of x that a list has at most: 8 or 16
  int32_t tiles = 0;  // of 8 rows of W, that a box holds side by side: 1 or 2
  int32_t boxes = 0;
  int32_t warp_blocks = 0;
  bool by_row = false;

  bool operator==(const StreamGroupedForm&) const = default;
};

// Where everything lies in shared memory behind the stages, in bytes from the first of them, whose
// address is a multiple of 1024.
struct StreamGroupedLayout {
  static constexpr uint32_t kListBytes = 16;
  static constexpr uint32_t kMemberBytes = 16;

  static constexpr uint32_t kWarps = 10;  // each of which has lists of its own
  // Offsets and choices of a block: words that nine warps' threads read, one each.
  static constexpr int32_t kMostInputs = 288;
  static constexpr int32_t kMostSlots = kMostInputs - 1;

  uint32_t parts = 0, ring_barriers = 0, part_barriers = 0, lists = 0, members = 0, inputs = 0;
  uint32_t end = 0;

  constexpr StreamGroupedLayout(const StreamGroupedParams& p, const StreamGroupedForm& form) {
    const auto rows = static_cast<uint32_t>(form.rows);
    const auto tiles = static_cast<uint32_t>(form.tiles);
    const auto stages = static_cast<uint32_t>(p.num_stages);
    const auto max_lists = static_cast<uint32_t>(p.max_lists);
    parts = stages * static_cast<uint32_t>(p.box_blocks) * tiles * 1024;
    ring_barriers = parts + part_bytes(form);
    part_barriers = ring_barriers + stages * 16;
    lists = part_barriers + kPartBarrierBytes;
    members = lists + kWarps * max_lists * kListBytes;
    inputs = members + (form.by_row ? kWarps * max_lists * rows * kMemberBytes : 0);
    end = inputs + (form.by_row ? 3 : 1) * uint32_t{kMostInputs} * 4;
  }

  // Of a few buffers of eight warps' tiles [rows, 8] f32 (PartialTiles).
  static constexpr uint32_t part_bytes(const StreamGroupedForm& form) {
    return (form.tiles == 1 ? 4u : 6u) * 8 * static_cast<uint32_t>(form.rows) * 8 * 4;
  }
  static constexpr uint32_t kPartBarrierBytes = 4 * 16;
};

// The kernel of a form; null where none is compiled for it.
using StreamGroupedKernel = void (*)(const CUtensorMap& weights, const StreamGroupedParams& params,
                                     const StreamGroupedLaunch& launch);
StreamGroupedKernel stream_grouped_8(const StreamGroupedForm& form);
StreamGroupedKernel stream_grouped_16(const StreamGroupedForm& form);
StreamGroupedKernel stream_by_row(const StreamGroupedForm& form);

}  // namespace braid::kernels::cuda::sm90
