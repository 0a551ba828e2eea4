// The plan of a step's attention in decode, on the GPU.
#pragma once

#include "kernels/attention/decode_plan.h"
#include "kernels/attention/paged_rows.h"
#include "kernels/cuda/kernel_stream.h"

namespace braid::kernels::cuda {

// plan: DecodePlanLayout(rows.rows, num_kv_heads).words words.
void plan_decode(const DecodePlanDesc& desc, const PagedRows& rows, int32_t* plan,
                 const KernelStream& stream);

}  // namespace braid::kernels::cuda
