// fuse_shared_expert: the shared experts as more slots of the routed experts' pool, to which every
// row goes with the weight 1. Dual stream's third form: neither two lanes nor GEMMs of their own.
#pragma once

#include <string>

#include "flow/program.h"

namespace braid::passes {

// Why the shared experts can't run as slots of the routed experts' pool; empty where they can: they
// lie right behind the routed experts, see the same rows, and the sums of both are added first.
std::string why_not_fused(const flow::Program& program);

// In every layer: permute sends each row to the shared slots, too, the grouped GEMMs compute them,
// and combine adds them with the weight 1 (the routed scaling factor is in the routed weights, and
// only there) to what it writes instead of the sum of both branches. Another arithmetic: one
// float32 sum over all slots where there were two, rounded and added. `rewrites`: ops changed or
// left out.
Result<flow::Program> fuse_shared_expert(const flow::Program& program, int& rewrites);

}  // namespace braid::passes
