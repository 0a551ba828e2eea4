// fuse_shared_expert: the shared experts become slots of the routed experts' pool, to which every
// row goes with the weight 1. This is dual_stream's third form, with neither two lanes nor GEMMs of
// their own.
#pragma once

#include <string>

#include "flow/program.h"

namespace braid::passes {

// Why the shared experts can't run as slots of the routed experts' pool. Empty where they can: they
// lie right behind the routed experts, they see the same rows, and the results of both are added
// before they are reduced.
std::string why_not_fused(const flow::Program& program);

// In every layer permute sends each row to the shared slots as well, the grouped GEMMs compute
// them, and combine adds them with the weight 1. (The routed scaling factor is in the routed
// weights, and only there.) combine writes the sum of both branches. The arithmetic differs: one
// float32 sum over all slots takes the place of two sums that were rounded and added. `rewrites`:
// ops that were changed or left out.
Result<flow::Program> fuse_shared_expert(const flow::Program& program, int& rewrites);

}  // namespace braid::passes
