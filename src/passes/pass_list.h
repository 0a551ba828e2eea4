// The one list of passes, and what is done with all of them.
#pragma once

#include <string>

#include "passes/pass.h"

namespace braid::passes {

// All passes, in the order in which they rewrite a step.
std::span<const Pass* const> all_passes();

// The options of all passes. The cost model is the default one.
Result<PassOptions> parse_passes(const ParsedOptions& options);

// "dual_stream: --dual-stream auto, --dual-stream-max-tokens 256", one line a pass, in their order.
std::vector<std::string> describe_passes(const ParsedOptions& options);

// A step's Program behind all passes, and the Program that brings what they counted to the host,
// which starts without ops.
Result<flow::Program> run_passes(flow::Program program, const PassContext& context);
flow::Program run_read_back_passes(flow::Program program, const PassContext& context);

}  // namespace braid::passes
