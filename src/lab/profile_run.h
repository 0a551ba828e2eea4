// The steps of a profile: some of prefill and some of decode, traced on all ranks.
#pragma once

#include "engine/engine.h"
#include "lab/profile_report.h"
#include "passes/pass.h"

namespace braid::lab {

// How long and how wide the steps are.
struct ProfileSizes {
  int64_t groups = 1;
  int64_t prompt = 1;  // tokens of every prompt
  int64_t decode = 1;  // requests of a decode step
  int64_t steps = 1;

  // Steps in which a group's prompts come in, one after the other; some decode already.
  int64_t prompts_of_a_group() const { return (decode + groups - 1) / groups; }
  int64_t answer() const { return prompts_of_a_group() + steps + 2; }
};

// Runs the steps and traces those that count.
class ProfileRun {
 public:
  ProfileRun(engine::Engine& engine, const ProfileSizes& sizes, uint64_t seed)
      : engine_(engine), sizes_(sizes), seed_(seed) {}

  // The numbers of the traced steps: each has one prompt of every group.
  Result<std::vector<int64_t>> prefill();
  // Likewise: each has one row of every request, behind its prompt.
  Result<std::vector<int64_t>> decode();

 private:
  Status step(int64_t requests);
  Result<engine::RequestId> submit(int64_t tokens);

  engine::Engine& engine_;
  ProfileSizes sizes_;
  uint64_t seed_;
};

// What the passes decided for rank 0's step.
passes::Decisions decisions_of(ranks::Worker& worker, const flow::Timeline& timeline,
                               const PhaseReport& report);

}  // namespace braid::lab
