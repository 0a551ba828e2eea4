// Expert heat: counts how often each expert is chosen, in the routing ops that run anyway, and
// brings the counts to the host beside the next step.
#pragma once

#include "flow/program.h"
#include "flow/residents.h"
#include "layers/step_shape.h"
#include "passes/decisions.h"
#include "passes/dual_stream.h"

namespace braid::passes {

struct HeatOptions {
  Switch mode = Switch::automatic;
  bool wanted = false;  // automatic: somebody reads the counts
};

// Whether a model counts heat; one without experts has none.
bool counts_heat(const HeatOptions& options, bool has_experts);

// A rank's counters, u64 [2 · L, E] each: L layers with experts, in their order; row 2 · l counts
// the choices of layer l's decode rows, row 2 · l + 1 those of its prefill rows. They only grow.
// Indices of residents; −1: heat is not counted.
struct HeatBuffers {
  int32_t counters = -1;  // what routing adds to
  int32_t snapshot = -1;  // as they were after a step; two copies, used in turn
  int32_t host = -1;      // the same for the host

  bool present() const { return counters >= 0; }
};

// Gives every routing op its layer's counters, and takes the step's snapshot of all of them at its
// end. `own`: the step's rows. It comes behind the passes that move or split ops: routing that
// counts can't be split by rows any more.
Result<flow::Program> count_heat(flow::Program program, const flow::Residents& residents,
                                 const HeatBuffers& heat, const layers::RowCounts& own,
                                 const HeatOptions& options, Decisions& why);

// Lets the read-back of a step bring its snapshot to the host as well.
flow::Program read_back_heat(flow::Program readback, const flow::Residents& residents,
                             const HeatBuffers& heat);

}  // namespace braid::passes
