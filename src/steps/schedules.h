// The Schedules of one rank, compiled once a StepShape and kept.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "flow/check.h"
#include "flow/executor.h"
#include "model/decoder_model.h"
#include "passes/chunk_collectives.h"
#include "passes/dispatch_kind.h"
#include "passes/dual_stream.h"
#include "passes/heat.h"
#include "passes/quantize_dispatch.h"

namespace braid::steps {

struct PassOptions {
  passes::DispatchChoice dispatch = passes::DispatchChoice::automatic;
  passes::QuantizeDispatchOptions quantize_dispatch;
  passes::DualStreamOptions dual_stream;
  passes::ChunkOptions chunks;
  passes::HeatOptions heat;
};

// A step's Program after all passes in their order. Heat is counted where `options` say so and the
// model has buffers for it.
Result<flow::Program> apply_passes(flow::Program program, const model::DecoderModel& model,
                                   const layers::StepShape& shape, const PassOptions& options,
                                   passes::Decisions& why);

// The ranks along tp, of which this one is.
passes::Members members_of(const model::ModelOptions& options);

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

// What decides how rows of a step get to their experts.
passes::DispatchFacts dispatch_facts(const model::ModelConfig& config,
                                     const model::ModelOptions& options, int64_t group);

class Schedules {
 public:
  // All must outlive this. Schedules are bound by bind_to() once the workspace exists.
  Schedules(const model::DecoderModel& model, const flow::LauncherTable& table, PassOptions passes);

  // Workspace bytes that the largest steps need.
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
