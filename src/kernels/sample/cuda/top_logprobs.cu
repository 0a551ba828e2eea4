// One block a row.
#include "kernels/cuda/exp.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/sample/cuda/most_likely.cuh"
#include "kernels/sample/cuda/top_logprobs.h"

namespace braid::kernels::cuda {
namespace {

struct Finite {
  const float* logits;
  int vocab_size;

  __device__ Rank rank(int id) const {
    return logits[id] > -kInfinity ? rank_of(logits[id], id) : kNoRank;
  }
};

// ln Σ exp(logit − top).
__device__ double log_sum(const Finite& row, float top, Shared& shared) {
  Mass own = 0;
  for (int id = static_cast<int>(threadIdx.x); id < row.vocab_size; id += kThreads) {
    own += mass_of(exp(__fsub_rn(row.logits[id], top)));
  }
  const Mass sum = block_sum(own, shared.masses);
  return log(static_cast<double>(sum) / static_cast<double>(kMassUnit));
}

__global__ void __launch_bounds__(kThreads)
    list_most_likely(Rows rows, int vocab_size, TopLogprobsArgs args) {
  __shared__ Shared shared;
  start_in_turn();
  const int64_t r = blockIdx.x;
  if (r >= rows.live()) return;
  const int i = static_cast<int>(threadIdx.x);
  float* logprobs = args.logprobs.row(r);
  int32_t* ids = args.ids.row(r);
  const int wanted = min(args.wanted[r], kMaxTopLogprobs);
  if (wanted < 0) {
    if (i <= kMaxTopLogprobs) logprobs[i] = -kInfinity;
    if (i < kMaxTopLogprobs) ids[i] = -1;
    return;
  }
  const Finite row{args.logits.row(r), vocab_size};
  const int best = highest(row.logits, vocab_size, shared);
  // No numbers come of a row without a highest logit: its step ends in an error.
  const float top = best == kNoChoice ? 0 : row.logits[best];
  __syncthreads();
  const double log_of_sum = log_sum(row, top, shared);
  const auto logprob = [&](int id) {
    return static_cast<float>(static_cast<double>(row.logits[id]) - static_cast<double>(top) -
                              log_of_sum);
  };
  __syncthreads();
  const uint32_t count =
      wanted == 0 ? 0 : select(row, Rank{0}, static_cast<uint32_t>(wanted), shared);
  if (i < kMaxTopLogprobs) {
    const bool listed = i < static_cast<int>(count);
    ids[i] = listed ? id_of(shared.ranks[i]) : -1;
    logprobs[1 + i] = listed ? logprob(id_of(shared.ranks[i])) : -kInfinity;
  } else if (i == kMaxTopLogprobs) {
    const int id = args.chosen[r];
    logprobs[0] = id >= 0 && id < vocab_size ? logprob(id) : -kInfinity;
  }
}

}  // namespace

void top_logprobs(const Rows& rows, int64_t vocab_size, const TopLogprobsArgs& args,
                  const KernelStream& on) {
  const auto blocks = static_cast<unsigned>(rows.capacity);
  if (blocks == 0) return;
  launch_kernel(on, {blocks, kThreads}, list_most_likely, rows, static_cast<int>(vocab_size), args);
}

}  // namespace braid::kernels::cuda
