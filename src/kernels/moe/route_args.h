// Operands of a routing kernel, on every device.
#pragma once

#include "kernels/matrix.h"
#include "kernels/moe/moe_desc.h"

namespace braid::kernels {

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

}  // namespace braid::kernels
