// What FlashInfer's attention kernel wants to know about a step, found on the device: the rows'
// requests (runs of rows of one sequence), and the tiles of query rows that its blocks take.
#pragma once

#include <cuda_runtime_api.h>

#include "kernels/attention/cuda/attention.h"

namespace braid::kernels::cuda {

// Blocks that take tiles of one size; those that have no work are not valid. [num_tiles] each.
struct AttentionTiles {
  int32_t tile_rows = 0;  // of q, counting every head of a group as one
  int64_t num_tiles = 0;
  int32_t* requests = nullptr;
  int32_t* indices = nullptr;  // of the tile within its request
  bool* valid = nullptr;
};

// Requests of one row have small tiles, others large ones. Where there are no more rows than
// sequences every row is a request of its own, and there are no large tiles. What is launched
// depends on the sizes alone.
struct AttentionPlan {
  AttentionPlan(const AttentionDesc& desc, int64_t rows, int64_t num_sequences, std::byte* scratch);

  int64_t num_requests = 0;
  int64_t group = 0;              // query heads that share a KV head
  int32_t* first_rows = nullptr;  // [num_requests], of q
  int32_t* num_rows = nullptr;    // [num_requests]; 0: no rows in this step
  int32_t* lengths = nullptr;     // [num_requests], positions up to the last row's
  int32_t* pages = nullptr;       // [num_requests + 1], where the request's are in the block table
  int32_t* zeros = nullptr;       // [tiles of either size], all 0
  int32_t* no_chunk = nullptr;    // [1], more than any length
  AttentionTiles small;
  AttentionTiles large;
  int64_t bytes = 0;
};

inline constexpr int32_t kSmallTile = 16;
inline constexpr int32_t kLargeTile = 128;

// Fills the plan, and zeros the rows of out [rows, cols] that are padding.
void plan_attention(const AttentionPlan& plan, const PagedRows& rows, int64_t cols,
                    Matrix<bf16> out, const KernelStream& on);

}  // namespace braid::kernels::cuda
