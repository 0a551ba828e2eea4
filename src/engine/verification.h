// Proofs and experiments about an engine's Schedules, for braid verify.
#pragma once

#include <vector>

#include "engine/engine.h"

namespace braid::engine {

// Every decode bucket, every prefill bucket, and mixtures of both, up to the largest step.
std::vector<layers::StepShape> representative_shapes(const layers::RowCounts& most);

// Proves the order across steps for the launches that a Worker makes: first, second, first again,
// each followed by its read-back, each naming the launch before it.
Result<flow::CheckReport> verify_launches(const CompiledStep& first, const CompiledStep& second);

// Microseconds that compiling and checking a step of this many layers may take: 5 ms for up to 64
// layers, in proportion beyond.
double compile_bound_us(int64_t num_layers);

// Steps as they ran serially, to be run again otherwise.
class StepRecording {
 public:
  // Runs `requests` to their end, op by op in program order, from zeroed state.
  static Result<StepRecording> record(Engine& engine, std::span<const Request> requests);

  // Runs the same steps on all lanes, with these delays, from zeroed state. `internal`, naming
  // step, buffer and row, when any carried buffer differs by a bit after any step.
  Status replay(Worker& worker, const flow::Delays& delays) const;

  size_t num_steps() const { return steps_.size(); }
  // The different shapes, in the order of their first steps.
  std::vector<layers::StepShape> shapes() const;

 private:
  using Bytes = std::vector<std::byte>;
  struct Step {
    int64_t number;
    layers::StepShape shape;
    std::vector<int32_t> words;
    std::vector<Bytes> state;  // of every copy of every carried buffer, after the step
  };

  std::vector<Step> steps_;
};

}  // namespace braid::engine
