#include "kernels/gemm/cuda/sm90_stream_grouped.cuh"

namespace braid::kernels::cuda::sm90 {

StreamGroupedKernel stream_grouped_8(const StreamGroupedForm& form) {
  return find_stream_grouped<StreamForm<8, 2, 1, 2, false>, StreamForm<8, 1, 1, 2, false>,
                             StreamForm<8, 1, 1, 3, false>, StreamForm<8, 1, 2, 2, false>,
                             StreamForm<8, 1, 2, 3, false>, StreamForm<8, 1, 4, 2, false>,
                             StreamForm<8, 1, 0, 2, false>>(form);
}

}  // namespace braid::kernels::cuda::sm90
