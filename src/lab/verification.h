// Proofs and experiments about an engine's Schedules, for braid verify.
#pragma once

#include <vector>

#include "engine/engine.h"
#include "ranks/rank_compiler.h"

namespace braid::lab {

// Every decode bucket, every prefill bucket, and mixtures of both, up to the largest step.
std::vector<layers::StepShape> representative_shapes(const layers::RowCounts& most);

// Steps with different rows on the groups of ranks along dp, one shape a group: every third one
// idle, in prefill or decoding, in turns, and fewer rows from group to group. None where dp is 1.
std::vector<std::vector<layers::StepShape>> unequal_shapes(const layers::RowCounts& most,
                                                           int32_t dp);

// One step as every rank compiles it.
using RankSteps = std::vector<std::unique_ptr<steps::CompiledStep>>;

// Compiles steps of all ranks of a layout, without allocating anything.
class StepCompiler {
 public:
  // Compiles as the Workers of an engine with these options would.
  StepCompiler(const model::ModelConfig& config, const ranks::WorkerOptions& options);

  // The steps of all ranks, each proven on its own; with the same rows on all groups of ranks, or
  // with a shape for each. `unsupported` as RankCompiler::create.
  Result<RankSteps> compile(const layers::StepShape& shape) const;
  Result<RankSteps> compile(std::span<const layers::StepShape> of_groups) const;
  // The joint proof of the ranks' steps: collectives meet, nothing waits in a circle.
  Result<flow::CheckReport> check_joint(const RankSteps& steps) const;
  // Proves the order across steps for the launches that Workers make: first, second, first again,
  // each followed by its read-back, each naming the runs that StepOrder says; on every rank, and
  // jointly.
  Result<flow::CheckReport> check_launches(const RankSteps& first, const RankSteps& second) const;

 private:
  layout::Layout layout_;
  std::vector<flow::CommunicatorGroup> groups_;
  Status created_;
  std::vector<std::unique_ptr<ranks::RankCompiler>> ranks_;
};

// The launches of one rank that runs these steps, each followed by its read-back.
std::vector<flow::Launch> launches_of(std::span<const steps::CompiledStep* const> steps);

// Steps as they ran serially, to be run again otherwise; the ranks keep what they had computed.
class StepRecording {
 public:
  // Runs `requests` to their end, on every rank op by op in program order, from zeroed state.
  static Result<StepRecording> record(engine::Engine& engine,
                                      std::span<const engine::Request> requests);

  // Runs the same steps on the same ranks on all lanes, with these delays, from zeroed state.
  // `internal`, naming step, rank, buffer and row, when any carried buffer differs by a bit after
  // any step.
  Status replay(ranks::Ranks& ranks, const flow::Delays& delays) const;

  size_t num_steps() const { return steps_.size(); }
  // The different shapes, in the order of their first steps.
  std::vector<layers::StepShape> shapes() const;

 private:
  struct Step {
    int64_t number;
    std::vector<layers::StepShape> shapes;    // per group of ranks
    std::vector<std::vector<int32_t>> words;  // likewise
  };
  static Status compare(ranks::Ranks& ranks, const Step& step);

  std::vector<Step> steps_;
};

}  // namespace braid::lab
