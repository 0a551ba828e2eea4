// Choice of the next token on the GPU, by the rules of SampleDesc and with the CPU's random
// numbers. Greedy rows get the CPU's token. For drawn rows weights are the CPU's float32, but sums
// are taken in fixed point (2^-45 of the highest weight), where the CPU's are in double: the token
// differs only where the drawn point or top_p's bound is within about 1e-8 of a token's edge.
#pragma once

#include "kernels/cuda/kernel_stream.h"
#include "kernels/cuda/matrix.h"
#include "kernels/sample/sample_desc.h"

namespace braid::kernels::cuda {

// Vocabularies beyond this would overflow the sums.
inline constexpr int64_t kMaxVocabSize = int64_t{1} << 18;

// One row each: [rows, 1].
struct SampleArgs {
  Matrix<const float> logits;  // [rows, vocab_size]
  Matrix<const float> temperature;
  Matrix<const float> top_p;
  Matrix<const int32_t> top_k;
  Matrix<const uint64_t> seed;
  Matrix<const int32_t> position;  // of the token that is chosen
  Matrix<const float> log_min_p;   // ln of min_p
  Matrix<int32_t> ids;
};

void sample(const Rows& rows, int64_t vocab_size, const SampleArgs& args, const KernelStream& on);

}  // namespace braid::kernels::cuda
