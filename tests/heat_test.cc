// Expert heat on real models: exact in every layout, and nothing else changes.
#include <gtest/gtest.h>

#include <cstring>

#include "engine/heat.h"
#include "ops/moe.h"
#include "ops/rows.h"
#include "support/models.h"
#include "support/tap.h"

namespace braid::testing {
namespace {

using engine::GroupStep;
using experts::Heat;
using experts::Phase;
using kernels::RouteDesc;
using layout::LayoutOptions;
using passes::Switch;

engine::EngineOptions options_of(const LayoutOptions& layout, Switch heat) {
  engine::EngineOptions options{.layout = layout,
                                .context_length = 48,
                                .max_running = 10,
                                .chunked_prefill_size = 22,
                                .page_size = 4};
  options.worker.model.probes = {.all_logits = true, .routing = true};
  options.worker.passes.heat.mode = heat;
  return options;
}

std::vector<int32_t> prompt(int32_t tokens) {
  std::vector<int32_t> ids;
  for (int32_t i = 0; i < tokens; ++i) ids.push_back((tokens * 37 + i * 11) % 512);
  return ids;
}

// Counts what the probes of the routing say, row by row of the plans.
class ExactCount {
 public:
  explicit ExactCount(engine::Engine& engine) : engine_(engine), heat_(engine::heat_now(engine)) {}

  void add(std::span<const GroupStep> groups) {
    for (int32_t group = 0; group < std::ssize(groups); ++group) {
      const GroupStep& step = groups[static_cast<size_t>(group)];
      add(group, Phase::decode, 0, std::ssize(step.plan.decode));
      int64_t prefill = 0;
      for (const engine::PlannedRows& planned : step.plan.prefill) prefill += planned.count;
      add(group, Phase::prefill, step.shape.own.decode, prefill);
      const auto rows = static_cast<int32_t>(prefill + std::ssize(step.plan.decode));
      padding += step.shape.own.total() - rows;
      idle_groups += rows == 0 ? 1 : 0;
      decode_rows += std::ssize(step.plan.decode);
    }
  }
  // [layers, phases, experts] of a group, as its ranks have them.
  const std::vector<uint64_t>& of(int32_t group) { return counters_[group]; }

  int64_t padding = 0;
  int64_t idle_groups = 0;
  int64_t decode_rows = 0;

 private:
  void add(int32_t group, Phase phase, int64_t first, int64_t rows) {
    engine::Worker& leader = engine_.ranks().leader(group);
    const int64_t top_k = engine_.config().moe->top_k;
    const auto experts = static_cast<size_t>(heat_.sizes().experts);
    std::vector<uint64_t>& counters = counters_[group];
    counters.resize(static_cast<size_t>(2 * heat_.sizes().layers) * experts);
    size_t layer = 0;
    for (const int32_t ids : leader.model().state().expert_ids) {
      if (ids == model::kAbsent) continue;
      const auto* chosen = reinterpret_cast<const int32_t*>(leader.data(ids)) + first * top_k;
      for (int64_t i = 0; i < rows * top_k; ++i) {
        ++counters[(2 * layer + index_of(phase)) * experts + static_cast<size_t>(chosen[i])];
      }
      ++layer;
    }
  }

  engine::Engine& engine_;
  Heat heat_;  // for its sizes
  std::map<int32_t, std::vector<uint64_t>> counters_;
};

// Runs prompts of these lengths, a new one every other step; compares after every step.
ExactCount expect_exact(engine::Engine& engine, const std::vector<int32_t>& lengths) {
  ExactCount exact(engine);
  engine::Ranks& ranks = engine.ranks();
  engine.set_observer([&](int64_t step, std::span<const GroupStep> groups) {
    exact.add(groups);
    for (int32_t rank = 0; rank < ranks.size(); ++rank) {  // the leaders' and their followers'
      const auto heat = ranks[rank].heat(step);
      EXPECT_EQ(std::vector<uint64_t>(heat.begin(), heat.end()), exact.of(ranks.group_of(rank)))
          << "rank " << rank << " step " << step;
    }
    const Heat now = engine::heat_now(engine);
    for (int32_t group = 0; group < std::ssize(groups); ++group) {  // each group once
      const auto of_group = now.of(Phase::decode, 1, group);
      const auto* expected = exact.of(group).data() + 2 * of_group.size();
      EXPECT_EQ(0, std::memcmp(of_group.data(), expected, of_group.size_bytes()));
    }
  });
  for (const int32_t length : lengths) {
    EXPECT_TRUE(engine.submit({.prompt = prompt(length), .max_tokens = 6}).ok());
    EXPECT_TRUE(engine.step().ok());
    EXPECT_TRUE(engine.step().ok());
  }
  while (!engine.idle()) EXPECT_TRUE(engine.step().ok());
  engine.set_observer(nullptr);
  return exact;
}

class HeatLayoutsTest : public ::testing::TestWithParam<LayoutOptions> {};

const std::vector<int32_t> kLengths = {7, 13, 26, 3, 9, 5, 11, 2, 6, 10};

TEST_P(HeatLayoutsTest, IsTheExactCountOfRealRowsByPhase) {
  for (const char* name : {"glm4_moe", "mixtral"}) {
    const auto engine = open_engine(golden_folder(name), options_of(GetParam(), Switch::on));
    const ExactCount exact = expect_exact(*engine, kLengths);
    EXPECT_GT(exact.padding, 0);
    EXPECT_GT(exact.decode_rows, 20);
    const Heat heat = engine::heat_now(*engine);
    const int64_t choices = engine->config().moe->top_k * heat.sizes().layers;
    EXPECT_EQ(heat.total(Phase::decode), static_cast<uint64_t>(exact.decode_rows * choices));
  }
}

TEST(HeatGroupsTest, IdleGroupsCountNothing) {
  for (const LayoutOptions layout : {LayoutOptions{.dp = 2}, {.tp = 2, .dp = 2}, {.dp = 4}}) {
    const auto engine = open_engine(golden_folder("glm4_moe"), options_of(layout, Switch::on));
    const ExactCount exact = expect_exact(*engine, {9});
    EXPECT_EQ(exact.idle_groups, engine->steps() * (layout.dp - 1));
    for (const uint64_t count : engine->ranks().leader(1).heat(engine->steps())) {
      EXPECT_EQ(count, 0u);
    }
  }
}

// Logits of all tokens of all requests.
std::vector<float> logits_with(const LayoutOptions& layout, Switch heat, Format dtype) {
  engine::EngineOptions options = options_of(layout, heat);
  options.worker.model.dtype = dtype;
  options.worker.passes.dual_stream.mode = Switch::on;
  const auto engine = open_engine(golden_folder("glm4_moe"), options);
  Tap tap(*engine);
  std::vector<engine::RequestId> requests;
  for (const int32_t length : kLengths) {
    requests.push_back(engine->submit({.prompt = prompt(length), .max_tokens = 6}).value());
  }
  run_to_end(*engine);
  std::vector<float> all;
  for (const engine::RequestId request : requests) {
    for (const TokenRecord& record : tap.of(request)) {
      all.insert(all.end(), record.logits.begin(), record.logits.end());
    }
  }
  return all;
}

TEST_P(HeatLayoutsTest, OutputsAreBitwiseTheSameOnAndOff) {
  for (const Format dtype : {Format::f32, Format::bf16}) {
    const std::vector<float> off = logits_with(GetParam(), Switch::off, dtype);
    const std::vector<float> on = logits_with(GetParam(), Switch::on, dtype);
    ASSERT_EQ(on.size(), off.size());
    ASSERT_FALSE(on.empty());
    EXPECT_EQ(0, std::memcmp(on.data(), off.data(), on.size() * sizeof(float)));
  }
}

// Steps of rank 0 that have these rows.
std::unique_ptr<engine::CompiledStep> compiled(engine::Engine& engine, layers::RowCounts rows) {
  return engine.worker().schedules().compile({rows, rows}).value();
}

TEST_P(HeatLayoutsTest, SchedulesDifferByTheCountersAndTwoCopiesAlone) {
  const layers::RowCounts rows = {.decode = 2, .prefill = 8};
  std::array<std::unique_ptr<engine::CompiledStep>, 2> steps;
  std::array<std::unique_ptr<engine::Engine>, 2> engines;  // whose buffers the steps name
  for (const bool on : {false, true}) {
    auto options = options_of(GetParam(), on ? Switch::on : Switch::off);
    options.worker.passes.dual_stream.mode = Switch::on;
    engines[on] = open_engine(golden_folder("glm4_moe"), options);
    steps[on] = compiled(*engines[on], rows);
  }
  const flow::Schedule &off = steps[0]->schedule, &on = steps[1]->schedule;
  ASSERT_EQ(on.program.ops.size(), off.program.ops.size() + 1);
  int routes = 0;
  for (size_t i = 0; i < off.program.ops.size(); ++i) {
    const flow::Op &was = off.program.ops[i], &is = on.program.ops[i];
    EXPECT_EQ(on.program.describe(is).substr(0, off.program.describe(was).size()),
              off.program.describe(was));
    EXPECT_EQ(is.lane, was.lane);
    EXPECT_EQ(on.waits[i], off.waits[i]);
    EXPECT_EQ(is.operands == was.operands, !was.desc.is<RouteDesc>());
    if (!was.desc.is<RouteDesc>()) continue;
    ++routes;
    for (size_t k = 0; k < ops::kRouteHeat; ++k) EXPECT_EQ(is.operands[k], was.operands[k]);
    auto expected = was.desc.as<RouteDesc>(), found = is.desc.as<RouteDesc>();
    EXPECT_EQ(std::exchange(found.decode_rows, 0), rows.decode);
    EXPECT_EQ(0, std::memcmp(&found, &expected, sizeof(found)));
  }
  EXPECT_EQ(routes, 2);
  EXPECT_EQ(steps[1]->decisions.back().rewrites, routes + 1);
  EXPECT_TRUE(on.program.ops.back().desc.is<kernels::CopyDesc>());
  EXPECT_TRUE(on.waits.back().empty());
  EXPECT_EQ(on.workspace_bytes, off.workspace_bytes);
  ASSERT_EQ(steps[1]->readback.program.ops.size(), steps[0]->readback.program.ops.size() + 1);
  EXPECT_EQ(steps[1]->readback.program.ops.back().lane, flow::Lane::copy);
}

INSTANTIATE_TEST_SUITE_P(Layouts, HeatLayoutsTest,
                         ::testing::Values(LayoutOptions{}, LayoutOptions{.tp = 2},
                                           LayoutOptions{.tp = 2, .ep = 2},
                                           LayoutOptions{.tp = 4, .ep = 2}, LayoutOptions{.dp = 2},
                                           LayoutOptions{.tp = 2, .dp = 2}),
                         [](const auto& info) {
                           return fmt::format("tp{}ep{}dp{}", info.param.tp, info.param.ep,
                                              info.param.dp);
                         });

TEST(HeatTest, ForcedRoutingIsCountedAsItIsForced) {
  engine::EngineOptions options = options_of({}, Switch::on);
  options.worker.model.probes.force_routing = true;
  const auto engine = open_engine(golden_folder("mixtral"), options);
  const model::StateBuffers& state = engine->worker().model().state();
  for (const int32_t forced : state.forced_ids) {  // every row to experts 1 and 0
    const flow::Resident& resident = engine->worker().model().residents()[forced];
    auto* ids = reinterpret_cast<int32_t*>(engine->worker().data(forced));
    for (int64_t i = 0; i < resident.rows * resident.cols; ++i) ids[i] = i % 2 == 0 ? 1 : 0;
  }
  expect_exact(*engine, {5, 9});
  const Heat heat = engine::heat_now(*engine);
  for (const Phase phase : experts::kPhases) {
    const std::vector<double> counts = heat.of(phase);
    EXPECT_EQ(counts[0], counts[1]);
    EXPECT_EQ(4 * counts[0], static_cast<double>(heat.total(phase)));  // two experts, two layers
  }
  EXPECT_EQ(heat.of(Phase::prefill, 1, 0)[0], 5u + 9);
}

TEST(HeatTest, CountsOnWithPreemptionAndChunks) {
  engine::EngineOptions options = options_of({.tp = 2}, Switch::on);
  options.num_blocks = 12;
  options.worker.passes.chunks = {.chunks = 2};
  const auto engine = open_engine(golden_folder("glm4_moe"), options);
  expect_exact(*engine, {7, 13, 26, 3, 9, 5});
  EXPECT_GT(engine->preemptions(), 0);
}

}  // namespace
}  // namespace braid::testing
