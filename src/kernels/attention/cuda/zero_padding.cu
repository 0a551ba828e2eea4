#include "kernels/attention/cuda/zero_padding.h"

#include <algorithm>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"

namespace braid::kernels::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kMaxBlocks = 128;

__global__ void __launch_bounds__(kThreads)
    zero_rows(int64_t rows, const int32_t* sequences, int64_t cols, Matrix<bf16> out) {
  start_in_turn();
  for (int64_t t = blockIdx.x; t < rows; t += gridDim.x) {
    if (sequences[t] >= 0) continue;
    for (int64_t i = threadIdx.x * kPack; i < cols; i += kThreads * kPack) {
      store_pack<true>(out.row(t) + i, cols - i, Pack<bf16>{});
    }
  }
}

}  // namespace

void zero_padding(const PagedRows& rows, int64_t cols, Matrix<bf16> out, const KernelStream& on) {
  const auto blocks = static_cast<unsigned>(std::min(rows.rows, kMaxBlocks));
  launch_kernel(on, {blocks, kThreads}, zero_rows, rows.rows, rows.sequences, cols, out);
}

}  // namespace braid::kernels::cuda
