// Log probabilities of tokens on the GPU, by the rules of TopLogprobsDesc. The ids are the CPU's;
// log probabilities differ by 1e-6 at most, because weights are summed in fixed point.
#pragma once

#include "kernels/cuda/kernel_stream.h"
#include "kernels/cuda/matrix.h"
#include "kernels/sample/sample_desc.h"

namespace braid::kernels::cuda {

struct TopLogprobsArgs {
  Matrix<const float> logits;       // [rows, vocab_size]
  const int32_t* chosen = nullptr;  // [rows]
  const int32_t* wanted = nullptr;  // [rows]
  Matrix<float> logprobs;           // [rows, 1 + kMaxTopLogprobs]
  Matrix<int32_t> ids;              // [rows, kMaxTopLogprobs]
};

// vocab_size: at most kMaxVocabSize (sample.h).
void top_logprobs(const Rows& rows, int64_t vocab_size, const TopLogprobsArgs& args,
                  const KernelStream& on);

}  // namespace braid::kernels::cuda
