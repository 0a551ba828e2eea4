// A rank without memory: its model and its kernels, enough to compile its steps anywhere.
#pragma once

#include "ranks/worker_options.h"

namespace braid::ranks {

class RankCompiler {
 public:
  // Compiles as the Worker of rank options.model.rank would. `unsupported` where this program has
  // no kernels for the device.
  static Result<std::unique_ptr<RankCompiler>> create(const model::ModelConfig& config,
                                                      const WorkerOptions& options);
  const model::DecoderModel& model() const { return model_; }
  // As Schedules::workspace_bytes.
  Result<int64_t> workspace_bytes() const { return schedules_.workspace_bytes(); }

  RankCompiler(const RankCompiler&) = delete;
  RankCompiler& operator=(const RankCompiler&) = delete;

  // Built, rewritten, compiled and proven, but not bound; must not outlive this.
  Result<std::unique_ptr<steps::CompiledStep>> compile(const layers::StepShape& shape) const {
    return schedules_.compile(shape);
  }

 private:
  RankCompiler(const model::ModelConfig& config, const WorkerOptions& options)
      : model_(config, options.model), schedules_(model_, table_, options.passes) {}

  flow::LauncherTable table_;
  model::DecoderModel model_;
  steps::Schedules schedules_;
};

}  // namespace braid::ranks
