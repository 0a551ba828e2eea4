// What verify found out, line by line on the output.
#pragma once

#include <string>
#include <vector>

#include "cli/commands.h"
#include "lab/verification.h"

namespace braid::cli {

inline double total_us(const steps::CompiledStep& step) { return step.compile_us + step.check_us; }

class VerifyReport {
 public:
  VerifyReport(const Context& context, int64_t num_layers)
      : context_(context), bound_us_(steps::compile_bound_us(num_layers)) {}

  double bound_us() const { return bound_us_; }

  Status line(const std::string& text) {
    return context_.options.flag("json") ? Status() : context_.streams.out.line(text);
  }

  Status heading();

  // Adds steps with different rows on the groups of ranks.
  void unequal(const lab::RankSteps& steps) {
    schedules_ += std::ssize(steps);
    for (const auto& of_rank : steps) pairs_ += of_rank->report.pairs;
  }

  // The step of every rank; the line shows rank 0's.
  Status schedule(const layers::StepShape& shape, const lab::RankSteps& steps);

  void met(const flow::CheckReport& joint) { collectives_ += joint.collectives; }

  Status finding(const Error& error);

  // The summary; an error when there is any finding.
  Status finish(int64_t equal_runs);

 private:
  const Context& context_;
  double bound_us_;
  double slowest_us_ = 0;
  int64_t schedules_ = 0;
  int64_t pairs_ = 0;
  int64_t collectives_ = 0;
  std::vector<std::string> findings_;
};

}  // namespace braid::cli
