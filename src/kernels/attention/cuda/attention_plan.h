// The plan of a step's attention by FlashInfer's kernel, made on the device.
#pragma once

#include "kernels/attention/attention_plan.h"
#include "kernels/attention/paged_rows.h"
#include "kernels/cuda/kernel_stream.h"

namespace braid::kernels::cuda {

void plan_attention(const AttentionPlan& plan, const PagedRows& rows, const KernelStream& stream);

}  // namespace braid::kernels::cuda
