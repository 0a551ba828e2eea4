// Where an attention kernel's rows are in the paged KV cache, on every device.
#pragma once

#include "kernels/attention/attention_desc.h"
#include "kernels/matrix.h"

namespace braid::kernels {

// The rows' places in their sequences, and the sequences' pages.
struct PagedRows {
  int64_t rows = 0;
  const int32_t* sequences = nullptr;  // [rows], −1: padding
  const int32_t* positions = nullptr;  // [rows]
  Matrix<const int32_t> block_table;   // [num_sequences, num_blocks]
  int64_t num_sequences = 0;
  int64_t num_blocks = 0;
};

}  // namespace braid::kernels
