// The plan of a step's attention as the GPU makes it, on the CPU.
#pragma once

#include "kernels/attention/attention_plan.h"
#include "kernels/attention/paged_rows.h"

namespace braid::kernels::cpu {

// Tiles that are not valid have no request and no index.
void plan_attention(const AttentionPlan& plan, const PagedRows& rows);

}  // namespace braid::kernels::cpu
