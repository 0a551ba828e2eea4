#include "kernels/gemm/cuda/sm90_stream_grouped.cuh"

namespace braid::kernels::cuda::sm90 {

StreamGroupedKernel stream_by_row(const StreamGroupedForm& form) {
  return find_stream_grouped<
      StreamForm<8, 2, 1, 2, true>, StreamForm<8, 1, 1, 2, true>, StreamForm<8, 1, 1, 3, true>,
      StreamForm<8, 1, 2, 2, true>, StreamForm<8, 1, 2, 3, true>, StreamForm<8, 1, 4, 2, true>,
      StreamForm<16, 2, 1, 2, true>, StreamForm<16, 1, 1, 2, true>, StreamForm<16, 1, 1, 3, true>,
      StreamForm<16, 1, 2, 2, true>, StreamForm<16, 1, 2, 3, true>, StreamForm<16, 1, 4, 2, true>>(
      form);
}

}  // namespace braid::kernels::cuda::sm90
