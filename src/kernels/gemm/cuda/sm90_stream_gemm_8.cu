#include "kernels/gemm/cuda/sm90_stream_gemm.cuh"

namespace braid::kernels::cuda::sm90 {

void stream_gemm_8(const CUtensorMap& weights, const StreamGemmParams& params,
                   const KernelStream& on, int blocks) {
  switch (params.chunks) {
    case 1: return launch_stream_gemm<1, 1>(weights, params, on, blocks);
    case 2: return launch_stream_gemm<2, 1>(weights, params, on, blocks);
    case 3: return launch_stream_gemm<3, 1>(weights, params, on, blocks);
    case kMostResidentChunks:
      return launch_stream_gemm<kMostResidentChunks, 1>(weights, params, on, blocks);
    default: return launch_stream_gemm<0, 1>(weights, params, on, blocks);
  }
}

}  // namespace braid::kernels::cuda::sm90
