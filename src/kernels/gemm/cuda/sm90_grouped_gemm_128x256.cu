#include "kernels/gemm/cuda/sm90_grouped_gemm.cuh"

namespace braid::kernels::cuda::sm90 {

void grouped_gemm_128x256(const CUtensorMap& weights, const GroupedGemmParams& params,
                          const GroupedGemmLaunch& launch) {
  launch_grouped_gemm<Tile<kTile128x256>>(weights, params, launch);
}

}  // namespace braid::kernels::cuda::sm90
