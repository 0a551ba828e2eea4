// dual_stream on real models: same bits, other Schedules, real overlap, and the mistakes that it
// must not be possible to make unseen.
#include "passes/dual_stream.h"

#include <gtest/gtest.h>

#include <cstring>

#include "flow/check/check.h"
#include "flow/compile.h"
#include "model/config.h"
#include "ops/moe.h"
#include "passes/quantize_dispatch.h"
#include "steps/schedules.h"
#include "support/models.h"
#include "support/tap.h"

namespace braid::testing {
namespace {

using flow::Role;
using flow::Schedule;
using passes::DualStreamOptions;
using passes::Switch;

model::DecoderModel model_of(const std::string& name) {
  model::ModelOptions options{
      .max_rows = {.decode = 512, .prefill = 0}, .page_size = 16, .num_blocks = 8, .max_blocks = 4};
  return {model::load_config(golden_folder(name)).value(), options};
}

struct Compiled {
  Schedule schedule;
  passes::Decisions why;
};

Compiled compile_decode(const std::string& name, int32_t rows, const DualStreamOptions& options) {
  const model::DecoderModel model = model_of(name);
  const layers::RowCounts counts{.decode = rows};
  Compiled compiled;
  flow::Program program = model.build({counts, counts}).value();
  const passes::PassOptions defaults;
  const auto context = steps::pass_context(model, {counts, counts}, defaults, compiled.why);
  program = passes::dual_stream(std::move(program), options, context).value();
  compiled.schedule = flow::compile(std::move(program)).value();
  return compiled;
}

// All ops of one role in one layer.
std::vector<int32_t> ops_of(const Schedule& schedule, int32_t layer, Role role) {
  std::vector<int32_t> ops;
  for (size_t i = 0; i < schedule.program.ops.size(); ++i) {
    if (schedule.program.ops[i].scope == flow::Scope{layer, role}) {
      ops.push_back(static_cast<int32_t>(i));
    }
  }
  return ops;
}

// Whether `from` surely ends before `to` starts: a path of lane orders and waits.
bool ordered(const Schedule& schedule, int32_t from, int32_t to) {
  std::vector<int32_t> open = {to};
  std::vector<bool> seen(schedule.program.ops.size());
  while (!open.empty()) {
    const int32_t op = open.back();
    open.pop_back();
    if (op == from) return true;
    if (seen[static_cast<size_t>(op)]) continue;
    seen[static_cast<size_t>(op)] = true;
    for (const int32_t wait : schedule.waits[static_cast<size_t>(op)]) open.push_back(wait);
    const auto& lane =
        schedule.lanes[flow::index_of(schedule.program.ops[static_cast<size_t>(op)].lane)];
    const auto place = std::find(lane.begin(), lane.end(), op);
    if (place != lane.begin()) open.push_back(*std::prev(place));
  }
  return false;
}

// The shared expert of every MoE layer can run while the routed experts do.
bool branches_overlap(const Schedule& schedule, int32_t layer) {
  for (const int32_t shared : ops_of(schedule, layer, Role::shared_expert)) {
    for (const Role role : {Role::router, Role::experts}) {
      for (const int32_t routed : ops_of(schedule, layer, role)) {
        if (ordered(schedule, shared, routed) || ordered(schedule, routed, shared)) return false;
      }
    }
  }
  return true;
}

TEST(DualStreamTest, MovesTheSharedExpertOfEveryLayerAndNothingElse) {
  const Compiled off = compile_decode("glm4_moe", 4, {.mode = Switch::off});
  const Compiled on = compile_decode("glm4_moe", 4, {.mode = Switch::on});
  // The read-back of sampled ids has a lane of its own, and waits once.
  EXPECT_EQ(off.schedule.lanes_used(), 2);
  EXPECT_EQ(off.schedule.wait_count(), 1);
  EXPECT_EQ(on.schedule.lanes_used(), 3);
  ASSERT_EQ(on.why.size(), 1u);
  EXPECT_EQ(on.why[0].rewrites, 4);            // two MoE layers, two GEMMs each
  EXPECT_EQ(on.schedule.wait_count(), 1 + 4);  // a fork and a join in each
  EXPECT_EQ(on.schedule.program.ops.size(), off.schedule.program.ops.size());
  EXPECT_TRUE(flow::check_schedule(off.schedule).ok());
  EXPECT_TRUE(flow::check_schedule(on.schedule).ok());
}

TEST(DualStreamTest, BranchesHaveNoOrder) {
  for (const char* name : {"glm4_moe", "deepseek_v2", "deepseek_v3"}) {
    const Compiled on = compile_decode(name, 4, {.mode = Switch::on});
    const Compiled off = compile_decode(name, 4, {.mode = Switch::off});
    EXPECT_TRUE(branches_overlap(on.schedule, 1)) << name;
    EXPECT_FALSE(branches_overlap(off.schedule, 1)) << name;
  }
}

// One of four ranks: rows that are gathered, or sent to the ranks of their experts, quantized or
// not, are under way while the shared expert runs.
TEST(DualStreamTest, NoDispatchWaitsForTheSharedExpertOrIsWaitedForByIt) {
  const model::ModelConfig config = model::load_config(golden_folder("glm4_moe")).value();
  model::ModelOptions sizes{
      .max_rows = {.decode = 8, .prefill = 0}, .num_blocks = 8, .max_blocks = 4};
  sizes.layout = layout::make_layout(model::layout_sizes(config), {.dp = 4}).value();
  const model::DecoderModel model(config, sizes);
  for (const ops::DispatchKind kind : {ops::DispatchKind::gather, ops::DispatchKind::all_to_all}) {
    for (const auto payload : {passes::DispatchDtype::unquantized, passes::DispatchDtype::nvfp4}) {
      passes::Decisions why;
      const layers::RowCounts rows{.decode = 8};
      flow::Program program = model.build({rows, rows}, kind).value();
      const passes::PassOptions defaults;
      const auto context = steps::pass_context(model, {rows, rows}, defaults, why);
      program = passes::quantize_dispatch(std::move(program), {.dtype = payload}, context).value();
      program = passes::dual_stream(std::move(program), {.mode = Switch::on}, context).value();
      const Schedule schedule = flow::compile(std::move(program)).value();
      EXPECT_TRUE(flow::check_schedule(schedule).ok());
      for (const int32_t layer : {1, 2}) EXPECT_TRUE(branches_overlap(schedule, layer));
      const auto dispatches = std::count_if(
          schedule.program.ops.begin(), schedule.program.ops.end(), [&](const flow::Op& op) {
            const bool sent = kind == ops::DispatchKind::all_to_all;
            return op.kind().name == (sent ? "all_to_all_v" : "all_gather_v");
          });
      EXPECT_EQ(dispatches, 2);
    }
  }
}

// Of a device without launches, on which a byte of memory takes a microsecond.
TEST(DualStreamTest, BothFormsAreAskedOfTheCostModel) {
  const model::DecoderModel model = model_of("glm4_moe");
  const layers::RowCounts rows{.decode = 4};
  passes::PassOptions options;
  const auto predicted = [&](const cost::DeviceProfile& profile) {
    options.cost = profile;
    passes::Decisions why;
    const auto context = steps::pass_context(model, {rows, rows}, options, why);
    EXPECT_TRUE(passes::dual_stream(model.build({rows, rows}).value(), {}, context).ok());
    EXPECT_EQ(why.back().alternatives.size(), 2u);
    EXPECT_EQ(why.back().alternatives[0].choice, "serial");
    EXPECT_EQ(why.back().alternatives[1].choice, "two lanes");
    return std::pair(why.back().alternatives[0].us, why.back().alternatives[1].us);
  };
  cost::DeviceProfile device{.name = "", .flop_per_second = 1e18, .bytes_per_second = 1e6};
  const auto [serial, two_lanes] = predicted(device);
  EXPECT_GT(serial, 0);
  EXPECT_NEAR(two_lanes, serial, 1e-9 * serial);  // two lanes share the memory
  device.bytes_per_second = 1e18;
  device.launch_us = 1;
  const auto [launches, beside] = predicted(device);
  // In each of two layers two launches go beside others, and the wait costs one.
  EXPECT_NEAR(launches - beside, 2 * (2 - 1), 1e-6);
}

TEST(DualStreamTest, AutomaticFollowsTheNumberOfRows) {
  EXPECT_EQ(compile_decode("glm4_moe", 256, {}).why[0].choice, "two lanes");
  EXPECT_EQ(compile_decode("glm4_moe", 384, {}).why[0].choice, "serial");
  EXPECT_EQ(compile_decode("glm4_moe", 384, {.max_tokens = 500}).why[0].choice, "two lanes");
  const Compiled few = compile_decode("glm4_moe", 2, {});
  EXPECT_NE(few.why[0].reason.find("within the limit of 256"), std::string::npos);
}

TEST(DualStreamTest, LeavesAModelWithoutSharedExpertsAlone) {
  const Compiled compiled = compile_decode("mixtral", 4, {.mode = Switch::on});
  EXPECT_EQ(compiled.schedule.lanes_used(), 2);  // one of them for the read-back of sampled ids
  EXPECT_EQ(compiled.why[0].rewrites, 0);
  EXPECT_EQ(compiled.why[0].reason, "the model has no shared expert");
}

TEST(DualStreamTest, ParsesItsSwitch) {
  EXPECT_EQ(*passes::parse_switch("dual-stream", "auto"), Switch::automatic);
  EXPECT_EQ(*passes::parse_switch("dual-stream", "off"), Switch::off);
  EXPECT_FALSE(passes::parse_switch("dual-stream", "maybe").ok());
}

// The first op of a layer's shared expert: the fork.
int32_t fork_of(const Schedule& schedule, int32_t layer) {
  return ops_of(schedule, layer, Role::shared_expert).front();
}

TEST(DualStreamMutationTest, WithoutTheForksWaitTheCheckerNamesTheHiddenStatesProducer) {
  Schedule schedule = compile_decode("glm4_moe", 4, {.mode = Switch::on}).schedule;
  schedule.waits[static_cast<size_t>(fork_of(schedule, 1))].clear();
  const auto report = flow::check_schedule(schedule);
  ASSERT_FALSE(report.ok());
  EXPECT_NE(report.error().to_string().find("layer 1 residual: rms_norm → normed"),
            std::string::npos)
      << report.error().to_string();
}

TEST(DualStreamMutationTest, AForkThatWaitsForTheRoutedBranchIsNoRaceButNoOverlapEither) {
  Schedule schedule = compile_decode("glm4_moe", 4, {.mode = Switch::on}).schedule;
  flow::Waits& waits = schedule.waits[static_cast<size_t>(fork_of(schedule, 1))];
  waits[0] = ops_of(schedule, 1, Role::experts).back();
  EXPECT_TRUE(flow::check_schedule(schedule).ok());
  EXPECT_FALSE(branches_overlap(schedule, 1));
}

TEST(DualStreamMutationTest, ExpertOutputWrittenIntoTheHiddenStateIsCaught) {
  Schedule schedule = compile_decode("glm4_moe", 4, {.mode = Switch::on}).schedule;
  flow::Program& program = schedule.program;
  const flow::Op& shared = program.ops[static_cast<size_t>(fork_of(schedule, 1))];
  const flow::Value hidden = shared.operands[ops::GemmOperand::x];
  const auto combine = static_cast<size_t>(ops_of(schedule, 1, Role::experts).back());
  const flow::Value routed = program.ops[combine].operands[ops::CombineOperand::out];
  for (size_t i = combine; i < program.ops.size(); ++i) {  // the output, and what reads it
    for (flow::Value& operand : program.ops[i].operands) {
      if (operand == routed) operand = hidden;
    }
  }
  const auto report = flow::check_schedule(schedule);
  ASSERT_FALSE(report.ok());
  EXPECT_NE(report.error().to_string().find("shared_expert"), std::string::npos)
      << report.error().to_string();
}

// Logits of a prompt and the tokens after it.
std::vector<float> logits_with(const std::string& folder, Switch mode, int32_t delay) {
  start::EngineOptions options{
      .context_length = 64, .max_running = 2, .chunked_prefill_size = 32, .page_size = 16};
  options.worker.model.probes.all_logits = true;
  options.worker.passes.of<passes::DualStreamOptions>().mode = mode;
  options.worker.delays = {.seed = 7, .longest = delay};
  const auto engine = open_engine(folder, options);
  Tap tap(*engine);
  std::vector<int32_t> prompt;
  for (int32_t i = 0; i < 40; ++i) prompt.push_back((i * 37 + 11) % 512);
  const auto request = engine->submit({.prompt = prompt, .max_tokens = 8}).value();
  run_to_end(*engine);
  std::vector<float> all;
  for (const TokenRecord& record : tap.of(request)) {
    all.insert(all.end(), record.logits.begin(), record.logits.end());
  }
  return all;
}

TEST(DualStreamTest, OnAndOffAreBitwiseEqual) {
  for (const char* name : {"glm4_moe", "deepseek_v2", "deepseek_v3"}) {
    const std::string folder = golden_folder(name);
    const std::vector<float> off = logits_with(folder, Switch::off, 0);
    for (const int32_t delay : {0, 50}) {
      const std::vector<float> on = logits_with(folder, Switch::on, delay);
      ASSERT_EQ(on.size(), off.size());
      EXPECT_EQ(0, std::memcmp(on.data(), off.data(), on.size() * sizeof(float))) << name;
    }
  }
}

// With groups of ranks along dp the experts' rows are gathered first. The shared expert has no
// order with that either, and runs while the gather waits for its link.
TEST(DualStreamTest, TheSharedExpertRunsWhileRowsAreGathered) {
  start::EngineOptions options{
      .context_length = 64, .max_running = 2, .chunked_prefill_size = 32, .page_size = 16};
  options.layout = {.tp = 1, .dp = 2};
  options.worker.link = LinkSpeed{.bytes_per_second = 1e9, .latency_us = 3e3};
  for (const Switch mode : {Switch::on, Switch::off}) {
    options.worker.passes.of<passes::DualStreamOptions>().mode = mode;
    const auto engine = open_engine(golden_folder("glm4_moe"), options);
    flow::Trace trace;
    engine->worker().set_trace(&trace);
    int64_t together = 0;  // in a step it may be over before the gather begins
    for (int tries = 0; together == 0 && tries < (mode == Switch::on ? 20 : 1); ++tries) {
      ASSERT_TRUE(engine->submit({.prompt = {1, 2, 3, 4}, .max_tokens = 12}).ok());
      run_to_end(*engine);
      for (int64_t step = 1; step <= engine->steps(); ++step) {
        together += trace.overlap_ns(step, flow::Lane::comm, flow::Lane::aux);
      }
    }
    EXPECT_EQ(together > 0, mode == Switch::on) << together;
    const auto& [shape, step] = *engine->worker().schedules().all().begin();
    for (const int32_t gather : ops_of(step->schedule, 1, Role::experts)) {
      const flow::Op& op = step->schedule.program.ops[static_cast<size_t>(gather)];
      if (op.kind().name != "all_gather_v") continue;
      for (const int32_t shared : ops_of(step->schedule, 1, Role::shared_expert)) {
        EXPECT_FALSE(ordered(step->schedule, gather, shared));
        EXPECT_FALSE(ordered(step->schedule, shared, gather));
      }
    }
  }
}

}  // namespace
}  // namespace braid::testing
