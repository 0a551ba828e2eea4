// Routing, permutation and combination on the CPU.
#pragma once

#include "kernels/gemm/cpu/gemm.h"
#include "kernels/moe/moe_desc.h"

namespace braid::kernels::cpu {

struct RouteArgs {
  int64_t rows = 0;
  Matrix<const float> logits;         // [rows, E]
  const float* bias = nullptr;        // [E], added to the scores for selection only; or null
  const int32_t* slots = nullptr;     // [rows], KV slots: −1 marks padding
  Matrix<const int32_t> forced;       // [rows, K]; data null or a row's first id −1: not forced
  const float* popularity = nullptr;  // [E], cumulative, for Choice::zipf; else null
  int64_t first_row = 0;              // index of row 0 in the step (for the replacements)
  Matrix<int32_t> ids;                // [rows, K]
  Matrix<float> weights;              // [rows, K]
  Matrix<uint64_t> heat;              // [2, E], counters of decode and prefill; or data null
};

int64_t route_scratch_bytes(const RouteDesc& desc);
void route(const RouteDesc& desc, const RouteArgs& args, std::byte* scratch);

// ids [rows, top_k] of experts; offsets [num_slots + 1], source [rows · min(top_k, num_slots)],
// places [rows, top_k].
void permute(const PermuteDesc& desc, int64_t rows, int64_t top_k, Matrix<const int32_t> ids,
             int32_t* offsets, int32_t* source, Matrix<int32_t> places);

// grouped [·, cols], places and weights [rows, top_k], out [rows, cols]; places of −1 add nothing.
template <typename T>
void combine(int64_t rows, int64_t cols, int64_t top_k, Matrix<const T> grouped,
             Matrix<const int32_t> places, Matrix<const float> weights, Matrix<T> out);

}  // namespace braid::kernels::cpu
