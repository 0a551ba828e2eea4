// Products of few rows a slot by the kernels that stream weights (sm90_stream_grouped.cuh): which
// of them takes a shape, and its launch.
#pragma once

#include <string>

#include "kernels/gemm/cuda/sm90_stream_grouped.h"

namespace braid::kernels::cuda {

// [num_slots · n, k] weights, in rows `stride` elements apart.
struct StreamedWeights {
  const void* data = nullptr;
  int64_t stride = 0;
  int32_t num_slots = 0;
  int64_t n = 0;
  int64_t k = 0;
};

// A kernel's form, and how a tile of 8 rows of W is cut into boxes: the order of all sums follows
// from k alone.
struct StreamConfig {
  sm90::StreamGroupedForm form;
  int32_t box_blocks = 0;  // of 64 columns
};

// Whether there is a kernel for weights of these sizes: n is a multiple of 16, k one of 64.
bool can_stream(int32_t num_slots, int64_t n, int64_t k);
// The same by row, where all of k must fit into registers, and at most 16 places make a row.
bool can_stream_by_row(int32_t num_slots, int64_t n, int64_t k, int64_t num_places);
// Whether rows lie as the kernels read and write them.
bool is_streamable(const void* rows, int64_t stride, int64_t element_bytes);

// `rows_of_list`: 8 or 16, which changes no bit of y.
StreamConfig choose_stream(int64_t k, int32_t rows_of_list, bool by_row);

// What is launched: params without the fields that follow from the weights and the config.
// `rows`: at least as many as are grouped. `sm_count`: SMs that the launch may use; 0: all. Where
// on.constant_weights is set, so are the offsets, and source and choices, as far as they are there:
// the ring is filled before the kernel in front has ended. That kernel's successor starts when all
// kernels before this one have ended.
void stream_grouped(const StreamConfig& config, const StreamedWeights& weights,
                    sm90::StreamGroupedParams params, int64_t rows, const KernelStream& on,
                    int32_t sm_count = 0);

// "sm90 streaming grouped GEMM, tile 8x8, 2 boxes of 1024 columns"
std::string explain(const StreamConfig& config, int64_t k);

}  // namespace braid::kernels::cuda
