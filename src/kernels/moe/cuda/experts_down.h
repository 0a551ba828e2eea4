// The experts' second product, its weighted sum and what is added to it, on a Hopper GPU. Bit for
// bit what grouped_gemm(), combine() and add() give for the same Desc, in one or two launches, each
// of which may overlap the kernel before it.
#pragma once

#include "kernels/gemm/cuda/grouped_gemm.h"
#include "kernels/moe/experts_down_args.h"

namespace braid::kernels::cuda {

// Refuses what the grouped GEMM refuses; needs no GPU.
Status can_experts_down(const ExpertsDownDesc& desc, const GroupedGemmShape& shape);

// `scratch`: experts_down_scratch_bytes(), at a multiple of 16 bytes.
void experts_down(const ExpertsDownDesc& desc, const ExpertsDownArgs<bf16>& args,
                  std::byte* scratch, const KernelStream& on);

}  // namespace braid::kernels::cuda
