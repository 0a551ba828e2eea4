// Operands of the kernel that adjusts logits, on every device.
#pragma once

#include "kernels/matrix.h"
#include "kernels/sample/sample_desc.h"

namespace braid::kernels {

struct AdjustArgs {
  int64_t vocab_size = 0;
  Matrix<const float> logits;            // [rows, vocab_size]
  const int32_t* history = nullptr;      // [KV slots], token ids
  Matrix<const int32_t> block_table;     // [sequences, blocks]
  const int32_t* sequences = nullptr;    // [rows], row of the block table
  const int32_t* positions = nullptr;    // [rows], of the token to be chosen: so many are before it
  const int32_t* prompt_size = nullptr;  // [rows], the tokens before the answer
  Matrix<const float> penalties;         // [rows, Penalties::num_columns]
  Matrix<const int32_t> bias_ids;  // [rows, num_biases], each id once, −1 behind the last one
  Matrix<const float> biases;      // [rows, num_biases]
  int64_t num_biases = 0;
  Matrix<float> out;  // [rows, vocab_size], not the logits
};

// Whether a row's penalties change nothing.
constexpr bool are_neutral(const float* penalties) {
  return penalties[Penalties::repetition] == 1 && penalties[Penalties::presence] == 0 &&
         penalties[Penalties::frequency] == 0;
}

}  // namespace braid::kernels
