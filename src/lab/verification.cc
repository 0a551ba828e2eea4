#include "lab/verification.h"

#include <algorithm>
#include <array>

#include "comm/control/message.h"
#include "steps/step_order.h"

namespace braid::lab {
namespace {

using layers::RowCounts;
using layers::StepShape;

// 1, 2, 3, 4, 6, … up to the bucket `most`.
std::vector<int32_t> buckets_to(int32_t most) {
  std::vector<int32_t> buckets;
  for (int32_t rows = 1; rows <= most; rows = layers::bucket_of(buckets.back() + 1)) {
    buckets.push_back(rows);
  }
  return buckets;
}

}  // namespace

std::vector<StepShape> representative_shapes(const RowCounts& most) {
  std::vector<StepShape> shapes;
  const auto add = [&](int32_t decode, int32_t prefill) {
    const RowCounts rows{decode, prefill};
    const StepShape shape{.own = rows, .group = rows};
    if (std::find(shapes.begin(), shapes.end(), shape) == shapes.end()) shapes.push_back(shape);
  };
  for (const int32_t decode : buckets_to(most.decode)) add(decode, 0);
  for (const int32_t prefill : buckets_to(most.prefill)) add(0, prefill);
  for (const int32_t decode : {1, most.decode}) {
    for (const int32_t prefill : {1, layers::bucket_of((most.prefill + 1) / 2), most.prefill}) {
      add(decode, prefill);
    }
  }
  return shapes;
}

std::vector<std::vector<StepShape>> unequal_shapes(const RowCounts& most, int32_t dp) {
  std::vector<std::vector<StepShape>> steps;
  if (dp == 1) return steps;
  // Of groups that do the same, each has about half as many rows as the one before.
  const auto rows_of = [&](int32_t sort, int32_t halvings) -> RowCounts {
    const auto some = [&](int32_t rows) {
      return layers::bucket_of(std::max(rows >> halvings, 1));
    };
    if (sort == 0) return layers::kIdleRows;
    return sort == 1 ? RowCounts{0, some(most.prefill)} : RowCounts{some(most.decode), 0};
  };
  for (int32_t turn = 0; turn < 3; ++turn) {
    std::vector<StepShape>& of_groups = steps.emplace_back();
    for (int32_t group = 0; group < dp; ++group) {
      of_groups.push_back({.own = rows_of((group + turn) % 3, group / 3), .group = most});
    }
  }
  return steps;
}

StepCompiler::StepCompiler(const model::ModelConfig& config, const ranks::WorkerOptions& options)
    : layout_(options.model.layout) {
  for (size_t id = 0; id < layout_.communicators.size(); ++id) {
    for (const std::vector<int32_t>& members : layout_.communicators[id].groups) {
      groups_.push_back({static_cast<int32_t>(id), members});
    }
  }
  ranks::WorkerOptions of_rank = options;
  for (int32_t rank = 0; rank < layout_.world; ++rank) {
    of_rank.model.rank = rank;
    auto compiler = ranks::RankCompiler::create(config, of_rank);
    if (created_.ok()) created_ = compiler.status();
    if (compiler.ok()) ranks_.push_back(std::move(*compiler));
  }
}

Result<RankSteps> StepCompiler::compile(const StepShape& shape) const {
  return compile(std::vector<StepShape>(static_cast<size_t>(layout_.attention.sizes[0]), shape));
}

Result<RankSteps> StepCompiler::compile(std::span<const StepShape> of_groups) const {
  TRY(Status(created_));
  RankSteps steps;
  for (size_t rank = 0; rank < ranks_.size(); ++rank) {
    const auto group = layout_.attention.coordinates(static_cast<int32_t>(rank))[0];
    steps.push_back(TRY(ranks_[rank]->compile(of_groups[static_cast<size_t>(group)])));
  }
  return steps;
}

Result<flow::CheckReport> StepCompiler::check_joint(const RankSteps& steps) const {
  std::vector<const flow::Schedule*> schedules;
  for (const auto& step : steps) schedules.push_back(&step->schedule);
  return flow::check_joint(schedules, groups_);
}

Result<flow::CheckReport> StepCompiler::check_launches(const RankSteps& first,
                                                       const RankSteps& second) const {
  std::vector<std::vector<flow::Launch>> launches(first.size());
  flow::CheckReport report;
  for (size_t rank = 0; rank < first.size(); ++rank) {
    const std::array steps = {first[rank].get(), second[rank].get(), first[rank].get()};
    launches[rank] =
        launches_of(std::vector<const steps::CompiledStep*>(steps.begin(), steps.end()));
    report = TRY(flow::check_launches(launches[rank]));
  }
  if (first.size() == 1) return report;
  return flow::check_joint_launches(launches, groups_);
}

std::vector<flow::Launch> launches_of(std::span<const steps::CompiledStep* const> steps) {
  constexpr int32_t kNone = -1;
  std::vector<flow::Launch> launches;
  steps::StepOrder<int32_t> order(kNone);
  for (int64_t number = 1; number <= std::ssize(steps); ++number) {
    const steps::CompiledStep& step = *steps[static_cast<size_t>(number) - 1];
    const auto at = static_cast<int32_t>(launches.size());
    launches.push_back({.schedule = &step.schedule, .step = number, .after = {}});
    for (const int32_t named : order.before(number)) {
      if (named != kNone) launches.back().after.push_back(named);
    }
    const auto readback = step.has_readback() ? at + 1 : kNone;
    if (step.has_readback()) {
      launches.push_back({.schedule = &step.readback, .step = number, .after = {at}});
    }
    order.submitted(number, at, readback);
  }
  return launches;
}

Result<StepRecording> StepRecording::record(engine::Engine& engine,
                                            std::span<const engine::Request> requests) {
  StepRecording recording;
  ranks::Ranks& ranks = engine.ranks();
  const layers::StepLimits limits = engine.worker().model().limits();
  TRY(ranks.ask(ranks.all(), {.kind = ranks::RankQuery::Kind::clear_state}));
  TRY(ranks.set_execution(/*serial=*/true, {}));
  engine.set_preparer([&](int64_t number, std::span<const engine::GroupStep> groups) {
    Step& step = recording.steps_.emplace_back(Step{number, {}, {}});
    for (int32_t group = 0; group < ranks.num_groups(); ++group) {
      const layers::StepShape& shape = groups[static_cast<size_t>(group)].shape;
      const auto count =
          static_cast<size_t>(layers::InputLayout(shape.own, limits, shape.sampling).total);
      const std::span<const int32_t> words = ranks.words(group, number).first(count);
      step.words.emplace_back(words.begin(), words.end());
      step.shapes.push_back(shape);
    }
  });
  Status status;
  engine.set_observer([&](int64_t number, std::span<const engine::GroupStep>) {
    if (status.ok()) status = ranks.ask(ranks.all(), ranks::RankQuery::keep_state(number)).status();
  });
  for (const engine::Request& request : requests) {
    if (status.ok()) status = engine.submit(request).status();
  }
  while (status.ok() && !engine.idle()) {
    const Status ran = engine.step().status();
    if (status.ok()) status = ran;
  }
  engine.set_preparer(nullptr);
  engine.set_observer(nullptr);
  TRY(status);
  return recording;
}

Status StepRecording::replay(ranks::Ranks& ranks, const flow::Delays& delays) const {
  TRY(ranks.ask(ranks.all(), {.kind = ranks::RankQuery::Kind::clear_state}));
  flow::Delays of_step = delays;
  for (const Step& step : steps_) {
    TRY(ranks.set_execution(/*serial=*/false, of_step));
    ++of_step.seed;
    for (int32_t group = 0; group < ranks.num_groups(); ++group) {
      const std::vector<int32_t>& words = step.words[static_cast<size_t>(group)];
      std::copy(words.begin(), words.end(), ranks.words(group, step.number).begin());
      ranks.share_inputs(step.number, group, std::ssize(words));
    }
    TRY(ranks.run(step.shapes, step.number));
    const Status same = compare(ranks, step);
    if (!same.ok()) return Error(same.error()).with("seed of the delays", delays.seed);
  }
  return {};
}

Status StepRecording::compare(ranks::Ranks& ranks, const Step& step) {
  const std::vector<std::string> differences =
      TRY(ranks.ask(ranks.all(), ranks::RankQuery::compare_state(step.number)));
  for (int32_t rank = 0; rank < ranks.size(); ++rank) {
    const std::string& difference = differences[static_cast<size_t>(rank)];
    if (difference.empty()) continue;
    const std::vector<std::string> place = TRY(comm::unpack(difference));
    return Error(ErrorKind::internal, "a run on all lanes differs from serial execution")
        .with("buffer", place.front())
        .with("row", place.back())
        .with("rank", rank)
        .with("step", step.number)
        .with("rows", step.shapes[static_cast<size_t>(ranks.group_of(rank))].to_string());
  }
  return {};
}

std::vector<StepShape> StepRecording::shapes() const {
  std::vector<StepShape> shapes;
  for (const Step& step : steps_) {
    for (const StepShape& shape : step.shapes) {
      if (std::find(shapes.begin(), shapes.end(), shape) == shapes.end()) shapes.push_back(shape);
    }
  }
  return shapes;
}

}  // namespace braid::lab
