#include "cli/verify_report.h"

#include <algorithm>

#include "base/json.h"

namespace braid::cli {

Status VerifyReport::heading() {
  return line(fmt::format("{:<26} {:>6} {:>6} {:>11} {:>8} {:>11} {:>9}", "schedule", "ops",
                          "waits", "workspace", "pairs", "compile µs", "check µs"));
}

Status VerifyReport::schedule(const layers::StepShape& shape, const lab::RankSteps& steps) {
  const steps::CompiledStep& step = *steps.front();
  schedules_ += std::ssize(steps);
  for (const auto& of_rank : steps) pairs_ += of_rank->report.pairs;
  slowest_us_ = std::max(slowest_us_, total_us(step));
  return line(fmt::format("{:<26} {:>6} {:>6} {:>11} {:>8} {:>10.0f} {:>8.0f}", shape.to_string(),
                          step.schedule.program.ops.size(), step.schedule.wait_count(),
                          format_bytes(static_cast<double>(step.schedule.workspace_bytes)),
                          step.report.pairs, step.compile_us, step.check_us));
}

Status VerifyReport::finding(const Error& error) {
  findings_.push_back(error.to_string());
  return line(fmt::format("FINDING {}", findings_.back()));
}

Status VerifyReport::finish(int64_t equal_runs) {
  const bool in_time = slowest_us_ <= bound_us_;
  TRY(
      line(fmt::format("{} schedules, {} pairs of accesses proven ordered, {} collectives meet, "
                       "{} runs with delays equal to serial execution, {} findings",
                       schedules_, pairs_, collectives_, equal_runs, findings_.size())));
  TRY(line(fmt::format("slowest to compile and check: {:.0f} µs, {} the bound of {:.0f} µs",
                       slowest_us_, in_time ? "within" : "over", bound_us_)));
  if (context_.options.flag("json")) {
    TRY(context_.streams.out.json_line({{"schedules", schedules_},
                                        {"pairs", pairs_},
                                        {"collectives", collectives_},
                                        {"equal_runs", equal_runs},
                                        {"findings", findings_},
                                        {"slowest_us", slowest_us_},
                                        {"bound_us", bound_us_}}));
  }
  if (findings_.empty()) return {};
  return Error(ErrorKind::internal, "verification failed").with("findings", findings_.size());
}

}  // namespace braid::cli
