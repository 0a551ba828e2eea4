// The Schedules of one rank, compiled once a StepShape and kept.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "flow/check.h"
#include "flow/executor.h"
#include "model/decoder_model.h"
#include "passes/dual_stream.h"

namespace braid::engine {

struct PassOptions {
  passes::DualStreamOptions dual_stream;
};

// A Schedule, what the passes decided for it, and its binding to this rank's memory.
struct CompiledStep {
  flow::Schedule schedule;
  passes::Decisions decisions;
  flow::BoundSchedule bound;
  flow::Schedule readback;
  flow::BoundSchedule bound_readback;
  flow::CheckReport report;  // of the step's own check
  double compile_us = 0;     // to build, rewrite and compile step and read-back
  double check_us = 0;
};

class Schedules {
 public:
  // All must outlive this. Schedules are bound by bind_to() once the workspace exists.
  Schedules(const model::DecoderModel& model, const flow::LauncherTable& table, PassOptions passes);

  // Workspace bytes that the largest steps need.
  Result<int64_t> workspace_bytes() const;
  void bind_to(std::byte* arena, int64_t arena_bytes);

  // Built, rewritten and compiled, but neither checked nor bound.
  Result<std::unique_ptr<CompiledStep>> compile(const layers::StepShape& shape) const;
  // Proves a compiled step, and notes what it proved and how long that took.
  static Status check(CompiledStep& step);

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

}  // namespace braid::engine
