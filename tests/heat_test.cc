// Expert heat on real models: exact in every layout, and nothing else changes.
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "lab/heat_windows.h"
#include "ops/moe.h"
#include "ops/route_experts.h"
#include "ops/rows.h"
#include "passes/chunk_collectives.h"
#include "passes/count_heat.h"
#include "passes/dual_stream.h"
#include "passes/fuse_route.h"
#include "ranks/serialization.h"
#include "support/models.h"
#include "support/process_ranks_util.h"
#include "support/tap.h"

namespace braid::testing {
namespace {

using engine::GroupStep;
using experts::Heat;
using experts::Phase;
using kernels::RouteDesc;
using layout::LayoutOptions;
using passes::Switch;
using ranks::RankQuery;
using ranks::values_of_bytes;

start::EngineOptions options_of(const LayoutOptions& layout, Switch heat) {
  start::EngineOptions options{.layout = layout,
                               .context_length = 48,
                               .max_running = 10,
                               .chunked_prefill_size = 22,
                               .page_size = 4};
  options.worker.model.probes = {.all_logits = true, .routing = true};
  options.worker.passes.of<passes::HeatOptions>().mode = heat;
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
  explicit ExactCount(engine::Engine& engine) : engine_(engine) {}

  Status add(std::span<const GroupStep> groups) {
    for (int32_t group = 0; group < std::ssize(groups); ++group) {
      const GroupStep& step = groups[static_cast<size_t>(group)];
      TRY(add(group, Phase::decode, 0, std::ssize(step.plan.decode)));
      int64_t prefill = 0;
      for (const engine::PlannedRows& planned : step.plan.prefill) prefill += planned.count;
      TRY(add(group, Phase::prefill, step.shape.own.decode, prefill));
      const auto rows = static_cast<int32_t>(prefill + std::ssize(step.plan.decode));
      padding += step.shape.own.total() - rows;
      idle_groups += rows == 0 ? 1 : 0;
      decode_rows += std::ssize(step.plan.decode);
    }
    return {};
  }
  // What differs on the ranks after a step, nothing where all is exact: the leaders' counts and
  // their followers', and those of the groups together, each once.
  Result<std::string> difference(int64_t step) {
    ranks::Ranks& ranks = engine_.ranks();
    const model::DecoderModel& model = engine_.worker().model();
    const int32_t host = model.state().heat.host;
    const std::vector<std::string> all =
        TRY(ranks.ask(ranks.all(), RankQuery::read({.resident = host,
                                                    .count = model.residents()[host].rows,
                                                    .copy = static_cast<int32_t>(step & 1)})));
    for (int32_t rank = 0; rank < ranks.size(); ++rank) {
      const auto counted = TRY(values_of_bytes<uint64_t>(all[static_cast<size_t>(rank)]));
      if (counted != counters_[ranks.group_of(rank)])
        return fmt::format("rank {}, step {}", rank, step);
    }
    const Heat now = TRY(lab::heat_now(engine_));
    for (int32_t group = 0; group < ranks.num_groups(); ++group) {
      const auto of_group = now.of(Phase::decode, 1, group);
      const auto* expected = counters_[group].data() + 2 * of_group.size();
      if (std::memcmp(of_group.data(), expected, of_group.size_bytes()) != 0) {
        return fmt::format("group {}, step {}", group, step);
      }
    }
    return std::string();
  }

  int64_t padding = 0;
  int64_t idle_groups = 0;
  int64_t decode_rows = 0;

 private:
  Status add(int32_t group, Phase phase, int64_t first, int64_t rows) {
    const int64_t top_k = engine_.config().moe->top_k;
    const auto experts = static_cast<size_t>(engine_.config().moe->num_experts);
    std::vector<uint64_t>& counters = counters_[group];
    const auto& probes = engine_.worker().model().state().expert_ids;
    const auto layers = probes.size() - static_cast<size_t>(std::count(probes.begin(), probes.end(),
                                                                       model::kAbsent));
    counters.resize(2 * layers * experts);
    size_t layer = 0;
    for (const int32_t ids : probes) {
      if (ids == model::kAbsent) continue;
      const std::string bytes = TRY(
          engine_.ranks().ask(engine_.ranks().leader_of(group),
                              RankQuery::read({.resident = ids, .first = first, .count = rows})));
      const std::vector<int32_t> chosen = TRY(values_of_bytes<int32_t>(bytes));
      BRAID_CHECK(std::ssize(chosen) == rows * top_k, "({} ids)", chosen.size());
      for (const int32_t id : chosen) {
        ++counters[(2 * layer + index_of(phase)) * experts + static_cast<size_t>(id)];
      }
      ++layer;
    }
    return {};
  }

  engine::Engine& engine_;
  std::map<int32_t, std::vector<uint64_t>> counters_;  // [layers, phases, experts] of a group
};

// Runs prompts of these lengths, a new one every other step; compares after every step. The first
// difference is an error.
Result<ExactCount> count_exactly(engine::Engine& engine, const std::vector<int32_t>& lengths) {
  ExactCount exact(engine);
  Status status;
  engine.set_observer([&](int64_t step, std::span<const GroupStep> groups) {
    if (status.ok()) status = exact.add(groups);
    const Result<std::string> difference = exact.difference(step);
    if (!status.ok() || (difference.ok() && difference->empty())) return;
    status = difference.ok() ? Error(ErrorKind::internal, "the heat isn't exact: " + *difference)
                             : difference.status();
  });
  for (const int32_t length : lengths) {
    TRY(engine.submit({.prompt = prompt(length), .max_tokens = 6}));
    TRY(engine.step());
    TRY(engine.step());
  }
  while (!engine.idle()) TRY(engine.step());
  engine.set_observer(nullptr);
  TRY(status);
  return exact;
}

ExactCount expect_exact(engine::Engine& engine, const std::vector<int32_t>& lengths) {
  Result<ExactCount> exact = count_exactly(engine, lengths);
  EXPECT_TRUE(exact.ok()) << exact.status().to_string();
  return exact.ok() ? *exact : ExactCount(engine);
}

class HeatLayoutsTest : public ::testing::TestWithParam<LayoutOptions> {};

const std::vector<int32_t> kLengths = {7, 13, 26, 3, 9, 5, 11, 2, 6, 10};

TEST_P(HeatLayoutsTest, IsTheExactCountOfRealRowsByPhase) {
  for (const char* name : {"glm4_moe", "mixtral"}) {
    const auto engine = open_engine(golden_folder(name), options_of(GetParam(), Switch::on));
    const ExactCount exact = expect_exact(*engine, kLengths);
    EXPECT_GT(exact.padding, 0);
    EXPECT_GT(exact.decode_rows, 20);
    const Heat heat = lab::heat_now(*engine).value();
    const int64_t choices = engine->config().moe->top_k * heat.sizes().layers;
    EXPECT_EQ(heat.total(Phase::decode), static_cast<uint64_t>(exact.decode_rows * choices));
  }
}

// Ranks as processes, of which rank 0's asks the others.
TEST_P(HeatLayoutsTest, IsTheExactCountInOtherProcessesToo) {
  start::EngineOptions options = options_of(GetParam(), Switch::on);
  options.num_blocks = 64;
  const auto total = [](engine::Engine& engine) -> Result<std::string> {
    const ExactCount exact = TRY(count_exactly(engine, kLengths));
    const Heat heat = TRY(lab::heat_now(engine));
    return fmt::format("{} rows, {} in decode: {} {}", exact.padding, exact.decode_rows,
                       heat.of(Phase::decode), heat.of(Phase::prefill));
  };
  const auto processes = testing::on_processes(options, total);
  const auto threads = testing::on_threads(options, total);
  ASSERT_TRUE(processes.ok() && threads.ok()) << processes.status().to_string();
  EXPECT_EQ(*processes, *threads);
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
  start::EngineOptions options = options_of(layout, heat);
  options.worker.model.dtype = dtype;
  options.worker.passes.of<passes::DualStreamOptions>().mode = Switch::on;
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
std::unique_ptr<steps::CompiledStep> compiled(engine::Engine& engine, layers::RowCounts rows) {
  return engine.worker().schedules().compile({rows, rows}).value();
}

// What an op that routes does, and which of its operands are the counters; by itself or as a part
// of a larger op.
struct Routing {
  RouteDesc desc;
  size_t heat;
};
std::optional<Routing> routing_of(const flow::Op& op) {
  if (op.desc.is<RouteDesc>()) return Routing{op.desc.as<RouteDesc>(), ops::RouteOperand::heat};
  if (!op.desc.is<kernels::RouteExpertsDesc>()) return std::nullopt;
  return Routing{op.desc.as<kernels::RouteExpertsDesc>().route, ops::RouteExpertsOperand::heat};
}

// What an op writes, the counters aside.
std::string without_heat(std::string description) {
  const size_t heat = description.find(", heat [");
  return heat == std::string::npos
             ? description
             : description.erase(heat, description.find(" u64", heat) + 4 - heat);
}

void expect_counters_alone(const LayoutOptions& layout, Switch fused) {
  const layers::RowCounts rows = {.decode = 2, .prefill = 8};
  std::array<std::unique_ptr<steps::CompiledStep>, 2> steps;
  std::array<std::unique_ptr<engine::Engine>, 2> engines;  // whose buffers the steps name
  for (const bool on : {false, true}) {
    auto options = options_of(layout, on ? Switch::on : Switch::off);
    options.worker.passes.of<passes::DualStreamOptions>().mode = Switch::on;
    options.worker.passes.of<passes::FuseRouteOptions>().mode = fused;
    engines[on] = open_engine(golden_folder("glm4_moe"), options);
    steps[on] = compiled(*engines[on], rows);
  }
  const flow::Schedule &off = steps[0]->schedule, &on = steps[1]->schedule;
  ASSERT_EQ(on.program.ops.size(), off.program.ops.size() + 1);
  int routes = 0;
  for (size_t i = 0; i < off.program.ops.size(); ++i) {
    const flow::Op &was = off.program.ops[i], &is = on.program.ops[i];
    EXPECT_EQ(without_heat(on.program.describe(is)), off.program.describe(was));
    EXPECT_EQ(is.lane, was.lane);
    EXPECT_EQ(on.waits[i], off.waits[i]);
    const std::optional<Routing> before = routing_of(was);
    EXPECT_EQ(is.operands == was.operands, !before);
    if (!before) continue;
    ++routes;
    for (size_t k = 0; k < is.operands.size(); ++k) {
      EXPECT_EQ(is.operands[k] == was.operands[k], k != before->heat);
    }
    RouteDesc found = routing_of(is)->desc;
    EXPECT_EQ(std::exchange(found.decode_rows, 0), rows.decode);
    EXPECT_EQ(0, std::memcmp(&found, &before->desc, sizeof(found)));
  }
  EXPECT_EQ(routes, 2);
  EXPECT_EQ(steps[1]->decisions.back().rewrites, routes + 1);
  EXPECT_TRUE(on.program.ops.back().desc.is<kernels::CopyDesc>());
  EXPECT_TRUE(on.waits.back().empty());
  EXPECT_EQ(on.workspace_bytes, off.workspace_bytes);
  ASSERT_EQ(steps[1]->readback.program.ops.size(), steps[0]->readback.program.ops.size() + 1);
  EXPECT_EQ(steps[1]->readback.program.ops.back().lane, flow::Lane::copy);
}

TEST_P(HeatLayoutsTest, SchedulesDifferByTheCountersAndTwoCopiesAlone) {
  for (const Switch fused : {Switch::on, Switch::off}) expect_counters_alone(GetParam(), fused);
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
  start::EngineOptions options = options_of({}, Switch::on);
  options.worker.model.probes.force_routing = true;
  const auto engine = open_engine(golden_folder("mixtral"), options);
  const model::StateBuffers& state = engine->worker().model().state();
  for (const int32_t forced : state.forced_ids) {  // every row to experts 1 and 0
    const flow::Resident& resident = engine->worker().model().residents()[forced];
    auto* ids = reinterpret_cast<int32_t*>(engine->worker().data(forced));
    for (int64_t i = 0; i < resident.rows * resident.cols; ++i) ids[i] = i % 2 == 0 ? 1 : 0;
  }
  expect_exact(*engine, {5, 9});
  const Heat heat = lab::heat_now(*engine).value();
  for (const Phase phase : experts::kPhases) {
    const std::vector<double> counts = heat.of(phase);
    EXPECT_EQ(counts[0], counts[1]);
    EXPECT_EQ(4 * counts[0], static_cast<double>(heat.total(phase)));  // two experts, two layers
  }
  EXPECT_EQ(heat.of(Phase::prefill, 1, 0)[0], 5u + 9);
}

TEST(HeatTest, CountsOnWithPreemptionAndChunks) {
  start::EngineOptions options = options_of({.tp = 2}, Switch::on);
  options.num_blocks = 12;
  options.worker.passes.of<passes::ChunkOptions>() = {.chunks = 2};
  const auto engine = open_engine(golden_folder("glm4_moe"), options);
  expect_exact(*engine, {7, 13, 26, 3, 9, 5});
  EXPECT_GT(engine->preemptions(), 0);
}

}  // namespace
}  // namespace braid::testing
