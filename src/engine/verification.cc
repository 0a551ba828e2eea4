#include "engine/verification.h"

#include <algorithm>
#include <array>

#include "engine/step_order.h"
#include "ops/register_cpu.h"

namespace braid::engine {
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

// visit(resident, copy) for every carried piece of memory.
template <typename Visit>
void for_each_carried(const flow::Residents& residents, Visit visit) {
  for (int32_t index = 0; index < residents.size(); ++index) {
    if (residents[index].lifetime != flow::Lifetime::carried) continue;
    for (int32_t copy = 0; copy < residents[index].copies; ++copy) visit(index, copy);
  }
}

// visit(worker) for every rank.
template <typename Visit>
void for_each_rank(Ranks& ranks, Visit visit) {
  for (int32_t rank = 0; rank < ranks.size(); ++rank) visit(ranks[rank]);
}

void clear_carried(Worker& worker) {
  const flow::Residents& residents = worker.model().residents();
  for_each_carried(residents, [&](int32_t index, int32_t copy) {
    const std::vector<std::byte> zeros(static_cast<size_t>(residents[index].bytes()));
    worker.device().upload(residents.data(index, copy), zeros.data(), residents[index].bytes());
  });
}

std::vector<std::vector<std::byte>> carried_state(Worker& worker) {
  const flow::Residents& residents = worker.model().residents();
  std::vector<std::vector<std::byte>> state;
  for_each_carried(residents, [&](int32_t index, int32_t copy) {
    auto& bytes = state.emplace_back(static_cast<size_t>(residents[index].bytes()));
    worker.device().download(bytes.data(), residents.data(index, copy), residents[index].bytes());
  });
  return state;
}

// The first byte that differs, by buffer and row.
Status compare(const flow::Residents& residents, const std::vector<std::vector<std::byte>>& serial,
               const std::vector<std::vector<std::byte>>& other) {
  Status status;
  size_t piece = 0;
  for_each_carried(residents, [&](int32_t index, int32_t) {
    const auto& expected = serial[piece];
    const auto& found = other[piece++];
    const auto at = std::mismatch(expected.begin(), expected.end(), found.begin()).first;
    if (at == expected.end() || !status.ok()) return;
    status = Error(ErrorKind::internal, "a run on all lanes differs from serial execution")
                 .with("buffer", residents[index].name)
                 .with("row", (at - expected.begin()) / residents[index].row_bytes());
  });
  return status;
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
  // Of those that do the same, each has about half as many rows as the one before.
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

// One rank's model and kernels, as its Worker has them.
struct StepCompiler::Rank {
  Rank(const model::ModelConfig& config, const WorkerOptions& options)
      : model(config, options.model), schedules(model, table, options.passes) {
    ops::register_cpu(table);
  }

  flow::LauncherTable table;
  model::DecoderModel model;
  Schedules schedules;
};

StepCompiler::StepCompiler(const model::ModelConfig& config, const WorkerOptions& options)
    : layout_(options.model.layout) {
  for (size_t id = 0; id < layout_.communicators.size(); ++id) {
    for (const std::vector<int32_t>& members : layout_.communicators[id].groups) {
      groups_.push_back({static_cast<int32_t>(id), members});
    }
  }
  WorkerOptions of_rank = options;
  for (int32_t rank = 0; rank < layout_.world; ++rank) {
    of_rank.model.rank = rank;
    ranks_.push_back(std::make_unique<Rank>(config, of_rank));
  }
}

StepCompiler::~StepCompiler() = default;

Result<RankSteps> StepCompiler::compile(const StepShape& shape) const {
  return compile(std::vector<StepShape>(static_cast<size_t>(layout_.attention.sizes[0]), shape));
}

Result<RankSteps> StepCompiler::compile(std::span<const StepShape> of_groups) const {
  RankSteps steps;
  for (size_t rank = 0; rank < ranks_.size(); ++rank) {
    const auto group = layout_.attention.coordinates(static_cast<int32_t>(rank))[0];
    steps.push_back(TRY(ranks_[rank]->schedules.compile(of_groups[static_cast<size_t>(group)])));
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
    launches[rank] = launches_of(std::vector<const CompiledStep*>(steps.begin(), steps.end()));
    report = TRY(flow::check_launches(launches[rank]));
  }
  if (first.size() == 1) return report;
  return flow::check_joint_launches(launches, groups_);
}

std::vector<flow::Launch> launches_of(std::span<const CompiledStep* const> steps) {
  constexpr int32_t kNone = -1;
  std::vector<flow::Launch> launches;
  StepOrder<int32_t> order(kNone);
  for (int64_t number = 1; number <= std::ssize(steps); ++number) {
    const CompiledStep& step = *steps[static_cast<size_t>(number) - 1];
    const auto at = static_cast<int32_t>(launches.size());
    launches.push_back({.schedule = &step.schedule, .step = number, .after = {}});
    for (const int32_t named : order.before(number)) {
      if (named != kNone) launches.back().after.push_back(named);
    }
    launches.push_back({.schedule = &step.readback, .step = number, .after = {at}});
    order.submitted(number, at, at + 1);
  }
  return launches;
}

double compile_bound_us(int64_t num_layers) {
  return 5000.0 * std::max(1.0, static_cast<double>(num_layers) / 64);
}

Result<StepRecording> StepRecording::record(Engine& engine, std::span<const Request> requests) {
  StepRecording recording;
  Ranks& ranks = engine.ranks();
  for_each_rank(ranks, clear_carried);
  ranks.set_execution(/*serial=*/true, {});
  engine.set_preparer([&](int64_t number, std::span<const GroupStep> groups) {
    Step& step = recording.steps_.emplace_back(Step{number, {}, {}, {}});
    for (int32_t group = 0; group < ranks.num_groups(); ++group) {
      const std::span<const int32_t> words = ranks.leader(group).host_words(number);
      step.words.emplace_back(words.begin(), words.end());
      step.shapes.push_back(groups[static_cast<size_t>(group)].shape);
    }
  });
  engine.set_observer([&](int64_t, std::span<const GroupStep>) {
    for_each_rank(ranks, [&](Worker& worker) {
      recording.steps_.back().state.push_back(carried_state(worker));
    });
  });
  Status status;
  for (const Request& request : requests) {
    if (status.ok()) status = engine.submit(request).status();
  }
  while (status.ok() && !engine.idle()) status = engine.step().status();
  engine.set_preparer(nullptr);
  engine.set_observer(nullptr);
  TRY(status);
  return recording;
}

Status StepRecording::replay(Ranks& ranks, const flow::Delays& delays) const {
  for_each_rank(ranks, clear_carried);
  flow::Delays of_step = delays;
  for (const Step& step : steps_) {
    ranks.set_execution(/*serial=*/false, of_step);
    ++of_step.seed;
    for (int32_t group = 0; group < ranks.num_groups(); ++group) {
      const std::vector<int32_t>& words = step.words[static_cast<size_t>(group)];
      std::copy(words.begin(), words.end(), ranks.leader(group).host_words(step.number).begin());
      ranks.share_inputs(step.number, group, std::ssize(words));
    }
    TRY(ranks.run(step.shapes, step.number));
    for (int32_t rank = 0; rank < ranks.size(); ++rank) {
      Worker& worker = ranks[rank];
      const Status same = compare(worker.model().residents(), step.state[static_cast<size_t>(rank)],
                                  carried_state(worker));
      if (same.ok()) continue;
      return Error(same.error())
          .with("rank", rank)
          .with("step", step.number)
          .with("rows", step.shapes[static_cast<size_t>(ranks.group_of(rank))].to_string())
          .with("seed of the delays", delays.seed);
    }
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

}  // namespace braid::engine
