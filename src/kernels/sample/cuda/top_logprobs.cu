// One cluster of blocks a row.
#include "kernels/cuda/exp.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/sample/cuda/most_likely.cuh"
#include "kernels/sample/cuda/top_logprobs.h"

namespace braid::kernels::cuda {
namespace {

struct Finite {
  const float* logits;
  int first;  // of this block's ids
  int last;   // one past

  __device__ Rank rank(int id) const {
    return logits[id] > -kInfinity ? rank_of(logits[id], id) : kNoRank;
  }
};

// ln Σ exp(logit − top).
__device__ double log_sum(const Finite& row, float top, const cg::cluster_group& cluster,
                          Shared& shared) {
  Mass own = 0;
  for (int id = row.first + static_cast<int>(threadIdx.x); id < row.last; id += kThreads) {
    own += mass_of(exp(__fsub_rn(row.logits[id], top)));
  }
  const Mass mass = block_sum(own, shared.masses);
  if (threadIdx.x == 0) shared.mass = mass;
  return log(static_cast<double>(sum_over(cluster, shared).all) / static_cast<double>(kMassUnit));
}

// By the first block, in whose shared.ranks the most likely ids stand.
__device__ void write_row(const Finite& row, int64_t r, int vocab_size, float top,
                          double log_of_sum, uint32_t count, const TopLogprobsArgs& args,
                          const Shared& shared) {
  const auto logprob = [&](int id) {
    return static_cast<float>(static_cast<double>(row.logits[id]) - static_cast<double>(top) -
                              log_of_sum);
  };
  const int i = static_cast<int>(threadIdx.x);
  if (i < kMaxTopLogprobs) {
    const bool listed = i < static_cast<int>(count);
    args.ids.row(r)[i] = listed ? id_of(shared.ranks[i]) : -1;
    args.logprobs.row(r)[1 + i] = listed ? logprob(id_of(shared.ranks[i])) : -kInfinity;
  } else if (i == kMaxTopLogprobs) {
    const int id = args.chosen[r];
    args.logprobs.row(r)[0] = id >= 0 && id < vocab_size ? logprob(id) : -kInfinity;
  }
}

// Whatever a cluster does depends on its row alone, so that its blocks meet in every sync().
__global__ void __launch_bounds__(kThreads)
    list_most_likely(Rows rows, int vocab_size, Stretches stretches, TopLogprobsArgs args) {
  __shared__ Shared shared;
  start_in_turn();
  const int64_t r = blockIdx.y;
  if (r >= rows.live()) return;
  const cg::cluster_group cluster = cg::this_cluster();
  const unsigned block = cluster.block_rank();
  const int wanted = min(args.wanted[r], kMaxTopLogprobs);
  if (wanted < 0) {
    const int i = static_cast<int>(threadIdx.x);
    if (block == 0 && i <= kMaxTopLogprobs) args.logprobs.row(r)[i] = -kInfinity;
    if (block == 0 && i < kMaxTopLogprobs) args.ids.row(r)[i] = -1;
    return;
  }
  const Finite row{args.logits.row(r), stretches.first(block, vocab_size),
                   stretches.first(block + 1, vocab_size)};
  const int best = highest(row, stretches.packed, cluster, shared);
  // No numbers come of a row without a highest logit: its step ends in an error.
  const float top = best == kNoChoice ? 0 : row.logits[best];
  cluster.sync();
  const double log_of_sum = log_sum(row, top, cluster, shared);
  if (wanted > 0) select(row, Rank{0}, static_cast<uint32_t>(wanted), cluster, shared);
  if (block == 0) {
    write_row(row, r, vocab_size, top, log_of_sum, wanted == 0 ? 0 : shared.size, args, shared);
  }
  cluster.sync();  // no block leaves while another reads what it has
}

}  // namespace

void top_logprobs(const Rows& rows, int64_t vocab_size, const TopLogprobsArgs& args,
                  const KernelStream& on) {
  const auto capacity = static_cast<unsigned>(rows.capacity);
  if (capacity == 0) return;
  const Stretches stretches = stretches_of(rows.capacity, vocab_size, args.logits);
  launch_kernel(on,
                {.grid = dim3(stretches.blocks, capacity),
                 .block = dim3(kThreads),
                 .cluster = stretches.blocks},
                list_most_likely, rows, static_cast<int>(vocab_size), stretches, args);
}

}  // namespace braid::kernels::cuda
