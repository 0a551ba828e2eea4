#include "lab/heat_windows.h"

#include <algorithm>
#include <numeric>

#include "ranks/serialization.h"

namespace braid::lab {
namespace {

using experts::Heat;
using experts::Phase;

std::vector<int32_t> layers_with_experts(const model::ModelConfig& config) {
  std::vector<int32_t> layers;
  for (int32_t layer = 0; layer < config.num_layers; ++layer) {
    if (config.is_moe(layer)) layers.push_back(layer);
  }
  return layers;
}

experts::HeatSizes sizes_of(engine::Engine& engine) {
  return {.layers = static_cast<int32_t>(layers_with_experts(engine.config()).size()),
          .groups = engine.ranks().num_groups(),
          .experts = static_cast<int32_t>(engine.config().moe->num_experts)};
}

int64_t rows_of(const std::vector<engine::PlannedRows>& planned) {
  return std::accumulate(
      planned.begin(), planned.end(), int64_t{0},
      [](int64_t sum, const engine::PlannedRows& rows) { return sum + rows.count; });
}

// Every row chooses top_k experts in every layer, neither more nor less.
Status check_total(const HeatRecord::Window& window, int64_t top_k) {
  for (const Phase phase : experts::kPhases) {
    const int64_t rows = window.rows[index_of(phase)];
    const auto expected = static_cast<uint64_t>(rows * top_k * window.heat.sizes().layers);
    if (window.heat.total(phase) == expected) continue;
    return Error(ErrorKind::internal, "the heat counted isn't that of the rows computed")
        .with("phase", name_of(phase))
        .with("first step", window.first_step)
        .with("last step", window.last_step)
        .with("rows", rows)
        .with("choices", window.heat.total(phase))
        .with("expected", expected);
  }
  return {};
}

// Cuts an engine's steps into windows.
class Recorder {
 public:
  // `start`: what was counted before.
  Recorder(engine::Engine& engine, Heat start, int64_t window_steps)
      : engine_(engine), window_steps_(window_steps), counts_(std::move(start)) {
    record_.sizes = sizes_of(engine);
    record_.layers = layers_with_experts(engine.config());
    open_.first_step = engine.steps() + 1;
  }

  // After a step; how many rows it had.
  Result<int64_t> add(int64_t step, std::span<const engine::GroupStep> groups) {
    std::array<int64_t, 2> rows = {};
    for (const engine::GroupStep& group : groups) {
      rows[index_of(Phase::decode)] += rows_of(group.plan.decode);
      rows[index_of(Phase::prefill)] += rows_of(group.plan.prefill);
    }
    for (size_t phase = 0; phase < rows.size(); ++phase) open_.rows[phase] += rows[phase];
    open_.last_step = step;
    if (step - open_.first_step + 1 == window_steps_) TRY(close());
    return rows[0] + rows[1];
  }

  Result<HeatRecord> finish() && {
    if (open_.last_step >= open_.first_step) TRY(close());
    return std::move(record_);
  }

 private:
  Status close() {
    open_.heat = TRY(counts_.cut(TRY(heat_now(engine_))));
    TRY(check_total(open_, engine_.config().moe->top_k));
    const int64_t next = open_.last_step + 1;
    record_.windows.push_back(std::exchange(open_, {.first_step = next}));
    return {};
  }

  engine::Engine& engine_;
  int64_t window_steps_;
  experts::HeatWindow counts_;
  HeatRecord record_;
  HeatRecord::Window open_;
};

}  // namespace

experts::ExpertPlacement placement_in(const model::ModelConfig& config,
                                      const layout::Layout& layout) {
  return experts::ExpertPlacement::standard(
      {.layers = static_cast<int32_t>(layers_with_experts(config).size()),
       .experts = static_cast<int32_t>(config.moe->num_experts),
       .ranks = layout.moe.sizes[0],
       .slots = static_cast<int32_t>(config.moe->num_experts)});
}

Result<Heat> heat_now(engine::Engine& engine) {
  ranks::Ranks& ranks = engine.ranks();
  Heat heat(sizes_of(engine));
  const model::DecoderModel& model = engine.worker().model();
  const int32_t snapshot = model.state().heat.host;
  const ranks::RankQuery query =
      ranks::RankQuery::read({.resident = snapshot,
                              .count = model.residents()[snapshot].rows,
                              .copy = static_cast<int32_t>(engine.steps() & 1)});
  for (int32_t group = 0; group < ranks.num_groups(); ++group) {
    const std::string bytes = TRY(ranks.ask(ranks.leader_of(group), query));
    heat.set_group(group, TRY(ranks::values_of_bytes<uint64_t>(bytes)));
  }
  return heat;
}

HeatRecord::Window HeatRecord::all() const {
  Window sum = windows.front();
  for (auto window = windows.begin() + 1; window != windows.end(); ++window) {
    sum.last_step = window->last_step;
    for (size_t phase = 0; phase < sum.rows.size(); ++phase) sum.rows[phase] += window->rows[phase];
    sum.heat.add(window->heat);
  }
  return sum;
}

Result<HeatRecord> collect_heat(engine::Engine& engine, std::vector<engine::Request> requests,
                                int64_t window_steps,
                                const std::function<void(int64_t)>& progress) {
  BRAID_CHECK(window_steps > 0 && !requests.empty(), "({} requests, windows of {} steps)",
              requests.size(), window_steps);
  Recorder recorder(engine, TRY(heat_now(engine)), window_steps);
  Status status;
  engine.set_observer([&](int64_t step, std::span<const engine::GroupStep> groups) {
    const Result<int64_t> rows = recorder.add(step, groups);
    if (status.ok()) status = rows.status();
    if (progress && rows.ok()) progress(*rows);
  });
  for (engine::Request& request : requests) {
    if (status.ok()) status = engine.submit(std::move(request)).status();
  }
  while (status.ok() && !engine.idle()) {
    const Status ran = engine.step().status();
    if (status.ok()) status = ran;
  }
  engine.set_observer(nullptr);
  TRY(status);
  return std::move(recorder).finish();
}

}  // namespace braid::lab
