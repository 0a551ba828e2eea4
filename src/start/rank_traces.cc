#include "start/rank_traces.h"

#include <algorithm>

#include "ranks/serialization.h"
#include "ranks/trace_message.h"

namespace braid::start {
namespace {

constexpr int kReadings = 16;  // of other ranks' clocks: the quickest count

// One a rank.
Result<std::vector<ClockBounds>> clocks_of(ranks::Ranks& ranks) {
  std::vector<ClockBounds> clocks(static_cast<size_t>(ranks.size()));
  for (int reading = 0; reading < kReadings; ++reading) {
    const int64_t before = flow::Trace::now_ns();
    const auto answers = TRY(ranks.ask(ranks.all(), {.kind = ranks::RankQuery::Kind::clock}));
    const int64_t after = flow::Trace::now_ns();
    for (size_t rank = 0; rank < clocks.size(); ++rank) {
      const std::vector<int64_t> there = TRY(ranks::values_of_bytes<int64_t>(answers[rank]));
      if (there.size() == 1) clocks[rank].add(before, there.front(), after);
    }
  }
  return clocks;
}

}  // namespace

void ClockBounds::add(int64_t before_ns, int64_t there_ns, int64_t after_ns) {
  least_ = std::max(least_, there_ns - after_ns);
  most_ = std::min(most_, there_ns - before_ns);
}

int64_t ClockBounds::offset_ns() const {
  return least_ <= 0 && most_ >= 0 ? 0 : least_ + (most_ - least_) / 2;
}

int64_t ClockBounds::error_ns() const {
  return offset_ns() == 0 ? 0 : std::max<int64_t>((most_ - least_) / 2, 1);
}

Status RankTraces::record(ranks::Ranks& ranks, bool on) {
  return ranks.ask(ranks.all(), ranks::RankQuery::trace(on)).status();
}

Result<RankTraces> RankTraces::collect(ranks::Ranks& ranks, const ranks::WorkerOptions& options) {
  const std::vector<ClockBounds> clocks = TRY(clocks_of(ranks));
  const std::vector<std::string> messages =
      TRY(ranks.ask(ranks.all(), {.kind = ranks::RankQuery::Kind::take_trace}));
  RankTraces traces;
  for (size_t rank = 0; rank < messages.size(); ++rank) {
    traces.clock_error_ns_ = std::max(traces.clock_error_ns_, clocks[rank].error_ns());
    TRY(traces.add(ranks, options, static_cast<int32_t>(rank), messages[rank],
                   clocks[rank].offset_ns()));
  }
  return traces;
}

Status RankTraces::add(ranks::Ranks& ranks, const ranks::WorkerOptions& options, int32_t rank,
                       std::string_view message, int64_t offset_ns) {
  ranks::TraceMessage told = TRY(ranks::TraceMessage::from_bytes(message));
  flow::Timeline& timeline = timelines_.emplace_back();
  timeline.rank = rank;
  const bool here = ranks.here(rank);
  if (!here) {
    ranks::WorkerOptions of_rank = options;
    of_rank.model.rank = rank;
    compilers_.push_back(TRY(ranks::RankCompiler::create(ranks[0].model().config(), of_rank)));
  }
  std::map<layers::StepShape, const flow::Schedule*> schedules;
  for (const auto& [number, step] : told.steps) {
    const flow::Schedule*& schedule = schedules[step.shape];
    if (schedule == nullptr && here) {
      schedule = &TRY(ranks[rank].schedules().get(step.shape))->schedule;
    } else if (schedule == nullptr) {
      steps_.push_back(TRY(compilers_.back()->compile(step.shape)));
      schedule = &steps_.back()->schedule;
    }
    if (std::ssize(schedule->program.ops) != step.ops) {
      return Error(ErrorKind::internal, "a rank ran another program than its options say")
          .with("rank", rank)
          .with("step", number)
          .with("ops", step.ops)
          .with("expected", schedule->program.ops.size());
    }
    timeline.steps[number] = {.schedule = schedule, .label = step.shape.to_string()};
  }
  timeline.events = std::move(told.events);
  for (flow::TimelineEvent& event : timeline.events) {
    event.start_ns -= offset_ns;
    event.end_ns -= offset_ns;
  }
  return {};
}

}  // namespace braid::start
