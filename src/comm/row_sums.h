// Sums of rows of several members, in their order: what makes a collective's result the same bits
// in every run and over every transport.
#pragma once

#include "comm/comm.h"

namespace braid::comm {

inline bool can_sum(Format format) { return format == Format::f32 || format == Format::bf16; }

// Which rows and columns of the members are summed; rows from `out_row` on get the sums.
struct SummedPart {
  int64_t row = 0;
  int64_t rows = 0;
  int64_t col = 0;
  int64_t cols = 0;
  int64_t out_row = 0;
};

// Sums of `ins`, which are alike, in float32, rounded once to their format, to each of `outs`.
void sum_rows(std::span<const Rows> ins, std::span<const Rows> outs, const SummedPart& part);

}  // namespace braid::comm
