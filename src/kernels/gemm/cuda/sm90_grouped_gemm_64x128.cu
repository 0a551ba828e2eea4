// Tens of rows a slot: half as many reads of each row of x as with 64 columns.
#include "kernels/gemm/cuda/sm90_grouped_gemm.cuh"

namespace braid::kernels::cuda::sm90 {

void grouped_gemm_64x128(const CUtensorMap& weights, const GroupedGemmParams& params,
                         const GroupedGemmLaunch& launch) {
  launch_grouped_gemm<Tile<64, 128, 4, 2>>(weights, params, launch);
}

}  // namespace braid::kernels::cuda::sm90
