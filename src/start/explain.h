// The parts of --explain.
#pragma once

#include <string>

#include "base/options.h"
#include "engine/engine.h"

namespace braid::start {

// Every option's value and where it came from.
std::string explain_options(const ParsedOptions& options);

// The model, how its weights are kept, its layout, and which kernels were chosen why.
std::string explain_model(const model::ModelConfig& config, const engine::EnginePlan& plan,
                          const ParsedOptions& options, const std::string& ranks);

// What the passes decided for a decode step and a prefill step, and how long compiling, checking
// and finding these took.
Result<std::string> explain_steps(engine::Engine& engine);

// One decoder layer of a step, lane by lane: the last layer with experts, or the last one.
std::string explain_layer(const flow::Schedule& schedule, const model::ModelConfig& config);

}  // namespace braid::start
