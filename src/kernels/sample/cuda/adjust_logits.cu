// A block has some ids of a row: it counts in shared memory how often each of them occurs among the
// row's tokens. Counts are sums of integers, so that no order of the threads changes them.
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/sample/cuda/adjust_logits.h"

namespace braid::kernels::cuda {
namespace {

constexpr int kThreads = 512;
constexpr int kIds = 8192;  // of a block

// Of each id, as on the CPU: 2 for each time that it occurs in the answer, 1 if in the prompt.
using Seen = int;

__device__ void count_tokens(const AdjustLogitsDesc& desc, const AdjustArgs& args, int64_t row,
                             int64_t first, Seen* seen) {
  const int32_t* blocks = args.block_table.row(args.sequences[row]);
  const int size = args.positions[row];
  const int prompt_size = args.prompt_size[row];
  for (int position = static_cast<int>(threadIdx.x); position < size; position += kThreads) {
    const int64_t slot =
        int64_t{blocks[position / desc.page_size]} * desc.page_size + position % desc.page_size;
    const int64_t id = args.history[slot];
    if (id < first || id >= first + kIds) continue;
    if (position < prompt_size) {
      atomicOr(&seen[id - first], 1);
    } else {
      atomicAdd(&seen[id - first], 2);
    }
  }
}

__device__ float penalized(float logit, Seen seen, const float* penalties) {
  if (seen == 0) return logit;
  const float repetition = penalties[Penalties::repetition];
  logit = logit > 0 ? __fdiv_rn(logit, repetition) : __fmul_rn(logit, repetition);
  const int times = seen >> 1;
  if (times == 0) return logit;
  const float by_count = __fmul_rn(penalties[Penalties::frequency], static_cast<float>(times));
  return __fsub_rn(__fsub_rn(logit, by_count), penalties[Penalties::presence]);
}

__global__ void __launch_bounds__(kThreads)
    adjust(AdjustLogitsDesc desc, Rows rows, AdjustArgs args) {
  __shared__ Seen seen[kIds];
  start_in_turn();
  const int64_t row = blockIdx.x;
  if (row >= rows.live()) return;
  const int64_t first = int64_t{blockIdx.y} * kIds;
  const int64_t last = min(first + kIds, args.vocab_size);
  const float* penalties = args.penalties.row(row);

  for (int i = static_cast<int>(threadIdx.x); i < kIds; i += kThreads) seen[i] = 0;
  __syncthreads();
  if (!are_neutral(penalties)) count_tokens(desc, args, row, first, seen);
  __syncthreads();

  const float* logits = args.logits.row(row);
  float* out = args.out.row(row);
  for (int64_t id = first + threadIdx.x; id < last; id += kThreads) {
    out[id] = penalized(logits[id], seen[id - first], penalties);
  }
  __syncthreads();
  // An id has one bias at most, so that no two threads write one logit.
  for (int64_t i = threadIdx.x; i < args.num_biases; i += kThreads) {
    const int64_t id = args.bias_ids.row(row)[i];
    if (id < first || id >= last) continue;
    out[id] =
        penalized(__fadd_rn(logits[id], args.biases.row(row)[i]), seen[id - first], penalties);
  }
}

}  // namespace

void adjust_logits(const AdjustLogitsDesc& desc, const Rows& rows, const AdjustArgs& args,
                   const KernelStream& on) {
  if (rows.capacity == 0 || args.vocab_size == 0) return;
  const dim3 blocks(static_cast<unsigned>(rows.capacity),
                    static_cast<unsigned>(ceil_div(args.vocab_size, kIds)));
  launch_kernel(on, {blocks, kThreads}, adjust, desc, rows, args);
}

}  // namespace braid::kernels::cuda
