// braid bench techniques, in parts: whole steps of a model on CPU ranks, or single layers on ranks
// of any device.
#pragma once

#include "cli/commands.h"
#include "lab/technique_device.h"

namespace braid::cli {

// After Ctrl-C the table of what was measured by then.
Result<Outcome> engine_techniques(const Context& context, const lab::TechniqueDevice& device);
Status layer_techniques(const Context& context, const lab::TechniqueDevice& device);

}  // namespace braid::cli
