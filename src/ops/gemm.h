// GEMM and grouped GEMM.
#pragma once

#include "kernels/gemm/gemm_desc.h"
#include "ops/builder.h"

namespace braid::ops {

using kernels::Epilogue;

struct Linear {
  Value weight;  // [N, K], or k_slots blocks [N, K / k_slots] one after the other
  Value bias;    // [1, N], or absent
  int32_t k_slots = 1;
};

// epilogue(x · Wᵀ + bias): x [M, K] → [M, N] (swiglu: [M, N / 2]) in `format`.
Value gemm(Builder& b, Value x, const Linear& w, Format format, std::string_view label,
           Epilogue epilogue = Epilogue::none);

// norm_weight [1, K] of x's format, residual [M, N] of y's format and placement: absent in what
// gemm() builds, added by passes (gemm_desc.h says what they do).
struct GemmOperand {
  enum : size_t { x, weight, bias, norm_weight, residual, y, num_operands };
};

// Rows ordered by slot: what permute() makes and grouped_gemm() takes.
struct Grouped {
  Value rows;     // [M, K]; row i of the grouping is rows[source[i]], or rows[i] without source
  Value source;   // i32 [≤ T·K], or absent
  Value offsets;  // i32 [slots + 1]
  Value count;    // i32 [1]: offsets[slots]
  int64_t tokens = 0;  // how many rows were grouped; 0 where that is not known
};

// weights [slots · N, K] → Grouped rows [capacity, N] (swiglu: N / 2).
Grouped grouped_gemm(Builder& b, const Grouped& in, Value weights, int64_t capacity,
                     std::string_view label, Epilogue epilogue = Epilogue::none);

struct GroupedGemmOperand {
  enum : size_t { x, source, offsets, weight, y, num_operands };
};

}  // namespace braid::ops

template <>
const braid::flow::KindInfo& braid::flow::kind_of<braid::kernels::GemmDesc>();
template <>
const braid::flow::KindInfo& braid::flow::kind_of<braid::kernels::GroupedGemmDesc>();
