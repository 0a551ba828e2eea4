// Grouped GEMM on a Hopper GPU: y = epilogue(x[source] · W[slot]ᵀ) for the rows of every slot, with
// the rows of slot s at [offsets[s], offsets[s + 1]) read on the device. One launch, no host
// synchronisation. Row-invariant: a row of y depends on its row of x and its slot alone.
//
// x [·, K] bf16, W [num_slots · N, K] bf16, y [rows, N] or [rows, N / 2] in bf16 or f32. Sums and
// SwiGLU are in float32, rounded once. Rows of y that belong to no slot are not touched.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <string>

#include "base/format.h"
#include "base/status.h"
#include "kernels/cuda/kernel_stream.h"
#include "kernels/gemm/cuda/grouped_gemm_tile.h"
#include "kernels/gemm/gemm_desc.h"

namespace braid::kernels::cuda {

// What is known of an op before it has memory.
struct GroupedGemmShape {
  int64_t n = 0;  // rows of W, of one slot
  int64_t k = 0;  // columns of x and W
  Format in = Format::bf16;
  Format out = Format::bf16;
};

// Addresses, and elements from row to row.
struct GroupedGemmOperands {
  const void* x = nullptr;
  int64_t x_stride = 0;
  const int32_t* source = nullptr;   // [offsets[num_slots]] rows of x; null: row i of x for row i
  const int32_t* offsets = nullptr;  // [num_slots + 1]
  const void* w = nullptr;           // at a multiple of 16 bytes, as are its rows
  int64_t w_stride = 0;
  void* y = nullptr;
  int64_t y_stride = 0;
};

// The tile where weights are not streamed: by the rows that a slot has on average when the op has
// as many as it was tuned for.
GroupedGemmTile choose_tile(const GroupedGemmDesc& desc);

// Refuses by name the formats and sizes that no kernel takes; needs no GPU.
Status can_grouped_gemm(const GroupedGemmDesc& desc, const GroupedGemmShape& shape);

// `rows`: y's capacity, at least offsets[num_slots]. `sm_count`: SMs that the launch may use; 0 is
// all of them. It changes no bit of y. Few tokens' products stream the weights (stream_grouped.h),
// by a kernel that may overlap the one before it.
void grouped_gemm(const GroupedGemmDesc& desc, const GroupedGemmShape& shape, int64_t rows,
                  const GroupedGemmOperands& operands, const KernelStream& on,
                  int32_t sm_count = 0);

// Whether the kernel behind its own starts only when all kernels before its own have ended.
bool releases_late(const GroupedGemmDesc& desc, const GroupedGemmShape& shape);

// "sm90 grouped GEMM, tile 128x256x64, 4 stages, 1 blocks an SM"
std::string explain_grouped_gemm(const GroupedGemmDesc& desc, const GroupedGemmShape& shape);

}  // namespace braid::kernels::cuda
