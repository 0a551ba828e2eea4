// From what was asked of an engine to its plan. A plan is made once: resolve() checks and decides
// all that depends on the model and the options, narrowed() lowers its sizes to what a command
// needs, and plan_memory() (memory_budget.h) adds KV blocks and workspace.
#pragma once

#include "engine/engine.h"
#include "start/engine_options.h"

namespace braid::start {

using engine::EnginePlan;

// The plan but for its memory. `usage` when the context is longer than the model's positions, or
// the layout, the dispatch or the placement of experts is not legal for the model.
Result<EnginePlan> resolve(const model::ModelConfig& config, const EngineOptions& options);

// The plan of an engine that does no more than what is needed.
EnginePlan narrowed(EnginePlan plan, const model::ModelConfig& config, const EngineNeeds& needs);

// resolve(), and the memory of an engine whose ranks are all in this process. `exhausted`, with the
// memory budget, when the machine does not have it.
Result<EnginePlan> plan_engine(const model::ModelConfig& config, const EngineOptions& options);

// An engine on such a plan. Its memory is allocated, its weights are not read yet.
Result<std::unique_ptr<engine::Engine>> create_engine(const model::ModelConfig& config,
                                                      const EngineOptions& options);

}  // namespace braid::start
