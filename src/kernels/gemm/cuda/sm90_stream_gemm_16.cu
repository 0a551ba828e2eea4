#include "kernels/gemm/cuda/sm90_stream_gemm.cuh"

namespace braid::kernels::cuda::sm90 {

void stream_gemm_16(const CUtensorMap& weights, const StreamGemmParams& params,
                    const KernelStream& on, int blocks) {
  switch (params.chunks) {
    case 1: return launch_stream_gemm<1, 2>(weights, params, on, blocks);
    case kMostResidentChunks / 2:
      return launch_stream_gemm<kMostResidentChunks / 2, 2>(weights, params, on, blocks);
    default: return launch_stream_gemm<0, 2>(weights, params, on, blocks);
  }
}

}  // namespace braid::kernels::cuda::sm90
