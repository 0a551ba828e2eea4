// count_heat: the routing ops, which run anyway, count how often each expert is chosen. The counts
// come to the host beside the next step.
#pragma once

#include "passes/pass.h"
#include "passes/switch.h"

namespace braid::passes {

struct HeatOptions {
  Switch mode = Switch::automatic;
  bool wanted = false;  // automatic: the command reads the counts
};

// Whether a model counts heat. A model without experts has none.
bool counts_heat(const HeatOptions& options, bool has_experts);

// Gives every routing op its layer's counters (buffers.heat), and takes a snapshot of all of them
// at the end of the step. This pass comes behind those that move or split ops, since routing that
// counts can't be split by rows any more.
Result<flow::Program> count_heat(flow::Program program, const HeatOptions& options,
                                 const PassContext& context);

// Lets the read-back of a step bring its snapshot to the host as well.
flow::Program read_back_heat(flow::Program readback, const HeatOptions& options,
                             const PassContext& context);

extern const Pass kCountHeat;

}  // namespace braid::passes
