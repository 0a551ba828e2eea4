// The Schedules of one rank, compiled once a StepShape and kept.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>

#include "flow/check/check.h"
#include "flow/executor.h"
#include "model/decoder_model.h"
#include "passes/pass_list.h"

namespace braid::steps {

using passes::PassOptions;

// All that passes may look at in a step of this model. The arguments must outlive it.
passes::PassContext pass_context(const model::DecoderModel& model, const layers::StepShape& shape,
                                 const PassOptions& options, passes::Decisions& decisions);

// A Schedule, what the passes decided for it, the proof that it has no race, and its binding to
// this rank's memory.
struct CompiledStep {
  flow::Schedule schedule;
  passes::Decisions decisions;
  flow::CheckReport report;
  double compile_us = 0;  // building, passes and compile(), without the check
  double check_us = 0;
  flow::BoundSchedule bound;
  // Brings the experts' heat to the host while the next step runs; without ops where none is
  // counted.
  flow::Schedule readback;
  flow::BoundSchedule bound_readback;

  bool has_readback() const { return !readback.program.ops.empty(); }
};

// What the choice of the dispatch depends on, for a step of which no rank has more rows than
// `group`.
layers::DispatchFacts dispatch_facts(const model::ModelConfig& config,
                                     const model::ModelOptions& options, int64_t group);

// How many steps this process has compiled so far, on all ranks.
int64_t compiled_steps();

// Microseconds that compiling and checking a step of this many layers may take: 5 ms for up to 64
// layers, in proportion beyond.
double compile_bound_us(int64_t num_layers);

// The steps of which one needs the most workspace, where no step has more rows than `most`.
std::set<layers::StepShape> largest_shapes(const layers::RowCounts& most, int32_t dp);

class Schedules {
 public:
  // All must outlive this. Schedules are bound by bind_to() once the workspace exists.
  Schedules(const model::DecoderModel& model, const flow::LauncherTable& table, PassOptions passes);

  // Workspace bytes that the largest steps need; compiles them. `unsupported` when the device has
  // no kernel for an op of theirs.
  Result<int64_t> workspace_bytes() const;
  void bind_to(std::byte* arena, int64_t arena_bytes);

  // Built, rewritten, compiled and checked, but not bound.
  Result<std::unique_ptr<CompiledStep>> compile(const layers::StepShape& shape) const;

  // The step of this shape: found, or built, rewritten, compiled, checked and bound.
  Result<const CompiledStep*> get(const layers::StepShape& shape);

  // Every step compiled so far, by shape.
  const std::map<layers::StepShape, std::unique_ptr<CompiledStep>>& all() const { return steps_; }

 private:
  const model::DecoderModel& model_;
  const flow::LauncherTable& table_;
  PassOptions passes_;
  std::byte* arena_ = nullptr;
  int64_t arena_bytes_ = 0;
  std::map<layers::StepShape, std::unique_ptr<CompiledStep>> steps_;
};

}  // namespace braid::steps
