// chunk_collectives on real models: same bits on two and four ranks, Schedules that prove jointly,
// and the mistakes that must be caught.
#include "passes/chunk_collectives.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>

#include "flow/compile.h"
#include "lab/verification.h"
#include "ops/collectives.h"
#include "passes/chunk_prices.h"
#include "passes/dual_stream.h"
#include "support/prompt.h"

namespace braid::testing {
namespace {

using flow::Schedule;
using lab::RankSteps;
using lab::StepCompiler;
using passes::Switch;

struct World {
  layout::LayoutOptions layout;
  int32_t chunks = 1;
  Switch dual_stream = Switch::off;
  bool continued = false;
  cost::DeviceProfile profile = cost::cpu_profile();
  int64_t min_tokens = 0;
};

StepCompiler compiler_of(const std::string& name, const World& world) {
  const model::ModelConfig config = model::load_config(golden_folder(name)).value();
  ranks::WorkerOptions options;
  options.model = {
      .max_rows = {.decode = 4, .prefill = 512}, .page_size = 16, .num_blocks = 8, .max_blocks = 4};
  options.model.layout = layout::make_layout(model::layout_sizes(config), world.layout).value();
  options.passes.of<passes::ChunkOptions>().chunks = world.chunks;
  options.passes.of<passes::ChunkOptions>().continued = world.continued;
  options.passes.cost = world.profile;
  options.passes.of<passes::ChunkOptions>().min_tokens = world.min_tokens;
  options.passes.of<passes::DualStreamOptions>().mode = world.dual_stream;
  return StepCompiler(config, options);
}

RankSteps steps_of(const StepCompiler& compiler, int32_t rows) {
  const layers::RowCounts prefill{.prefill = rows};
  return std::move(compiler.compile({prefill, prefill})).value();
}

const passes::Decision& decision_of(const RankSteps& steps, size_t rank = 0) {
  const passes::Decisions& all = steps[rank]->decisions;
  return *std::find_if(all.begin(), all.end(),
                       [](const auto& decision) { return decision.pass == "chunk_collectives"; });
}

// Indices of the all-reduces of one scope.
std::vector<size_t> reductions(const flow::Program& program, const flow::Scope& scope) {
  std::vector<size_t> found;
  for (size_t i = 0; i < program.ops.size(); ++i) {
    if (program.ops[i].desc.is<ops::AllReduceDesc>() && program.ops[i].scope == scope) {
      found.push_back(i);
    }
  }
  return found;
}

constexpr flow::Scope kAttention = {0, flow::Role::attention};

struct Expected {
  std::string name;
  World world;
  int reductions;  // in chunks
  int rewrites;    // ops that were split
};

TEST(ChunkCollectivesTest, SplitsTheReductionsOfEveryLayer) {
  for (const Expected& expected :
       {// Three attentions and a dense MLP (gemm, reduce); two MoE layers (shared expert's gemm,
        // combine, add, reduce), whose shared expert stays whole on its own lane.
        Expected{"glm4_moe", {{.tp = 2}, 2}, 6, 3 * 2 + 2 + 2 * 4},
        Expected{"glm4_moe", {{.tp = 2}, 2, Switch::on}, 6, 3 * 2 + 2 + 2 * 3},
        Expected{"glm4_moe", {{.tp = 4, .ep = 2}, 4}, 6, 3 * 2 + 2 + 2 * 4},
        Expected{"qwen3_moe", {{.tp = 2, .ep = 2}, 2}, 4, 2 * 2 + 2 * 2},  // no shared expert
        Expected{"deepseek_v3", {{.tp = 2}, 3}, 4, 2 * 2 + 2 + 4},
        Expected{"qwen2", {{.tp = 4}, 2}, 6, 3 * 4}}) {
    const StepCompiler compiler = compiler_of(expected.name, expected.world);
    World off = expected.world;
    off.chunks = 1;
    const RankSteps whole = steps_of(compiler_of(expected.name, off), 512);
    const RankSteps steps = steps_of(compiler, 512);
    EXPECT_EQ(decision_of(steps).rewrites, expected.rewrites) << expected.name;
    const auto ranges = std::ssize(passes::chunk_ranges(512, expected.world.chunks));
    const int64_t more = expected.reductions * (ranges - 1);
    for (size_t rank = 0; rank < steps.size(); ++rank) {
      // Each chunk more is a reduction that waits for its rows.
      EXPECT_EQ(steps[rank]->schedule.wait_count(), whole[rank]->schedule.wait_count() + more)
          << expected.name;
    }
    const auto joint = compiler.check_joint(steps);
    ASSERT_TRUE(joint.ok()) << joint.status().to_string();
    EXPECT_EQ(joint->collectives, expected.reductions * ranges + 2);  // and the vocabulary's two
    EXPECT_TRUE(compiler.check_launches(steps, whole).ok());
  }
}

TEST(ChunkCollectivesTest, LeavesAloneWhatHasNothingToCut) {
  const auto choice = [](const World& world, int32_t rows) {
    const RankSteps steps = steps_of(compiler_of("glm4_moe", world), rows);
    EXPECT_EQ(decision_of(steps).rewrites, 0);
    return decision_of(steps).reason;
  };
  EXPECT_EQ(choice({{}, 4}, 512), "no reduction in the step");
  EXPECT_EQ(choice({{.tp = 2}, 1}, 512), "not asked for");
  EXPECT_EQ(choice({{.tp = 2}, 4}, 192), "192 rows: fewer than two chunks of 128");
}

// By the predicted time, the same on all ranks.
TEST(ChunkCollectivesTest, AutomaticTakesWhatIsPredictedToBeFastest) {
  const auto decide = [](const LinkSpeed& link, int32_t rows, int64_t min_tokens) {
    World world{.layout = {.tp = 4, .ep = 2}, .chunks = 0, .continued = true};
    world.profile = cost::with_link(cost::cpu_profile(), link);
    world.min_tokens = min_tokens;
    const StepCompiler compiler = compiler_of("glm4_moe", world);
    const RankSteps steps = steps_of(compiler, rows);
    EXPECT_TRUE(compiler.check_joint(steps).ok());
    for (size_t rank = 1; rank < steps.size(); ++rank) {
      EXPECT_EQ(decision_of(steps, rank).why(), decision_of(steps).why());
    }
    return decision_of(steps);
  };
  const passes::Decision slow = decide({.bytes_per_second = 1e8, .latency_us = 1}, 512, 0);
  EXPECT_EQ(slow.choice, "4 chunks, continued, sums and norms once a row");
  EXPECT_EQ(slow.reason,
            "auto, predicted for CPU core, link of 0.1 GB/s, 1 us; 512 rows in chunks of 128, 6 "
            "reductions");
  ASSERT_EQ(slow.alternatives.size(), 3u);
  const cost::Alternative &off = slow.alternatives[0], &two = slow.alternatives[1],
                          &four = slow.alternatives[2];
  EXPECT_EQ(off.choice + ", " + two.choice + ", " + four.choice, "off, 2 chunks, 4 chunks");
  EXPECT_LT(four.us, two.us);
  EXPECT_LT(two.us, off.us);
  EXPECT_EQ(decide({.bytes_per_second = 1e12, .latency_us = 1e5}, 512, 0).choice, "off");
  EXPECT_EQ(decide({.bytes_per_second = 1e8, .latency_us = 1}, 512, 513).reason,
            "auto: 512 rows, below the limit of 513");
}

// The reduction of chunk 0 can run while chunk 1 is computed, and nothing reads it before the end.
TEST(ChunkCollectivesTest, AReductionWaitsForItsOwnChunkAlone) {
  const RankSteps steps = steps_of(compiler_of("glm4_moe", {{.tp = 2}, 4}), 512);
  const Schedule& schedule = steps.front()->schedule;
  const std::vector<size_t> reduces = reductions(schedule.program, kAttention);
  ASSERT_EQ(reduces.size(), 4u);
  for (const size_t reduce : reduces) {
    ASSERT_EQ(schedule.waits[reduce].size(), 1u);
    EXPECT_EQ(static_cast<size_t>(schedule.waits[reduce][0]), reduce - 1);  // its own GEMM
  }
}

TEST(ChunkCollectivesMutationTest, ADroppedWaitOfAChunkIsCaught) {
  const StepCompiler compiler = compiler_of("glm4_moe", {{.tp = 2}, 2});
  for (const size_t chunk : {0u, 1u}) {
    const RankSteps steps = steps_of(compiler, 512);
    Schedule& schedule = steps.back()->schedule;
    schedule.waits[reductions(schedule.program, kAttention)[chunk]].clear();
    const auto report = flow::check_schedule(schedule);
    ASSERT_FALSE(report.ok());
    EXPECT_NE(report.error().to_string().find("all_reduce"), std::string::npos)
        << report.error().to_string();
  }
}

TEST(ChunkCollectivesMutationTest, ChunksSwappedOnOneRankAreCaughtJointly) {
  const StepCompiler compiler = compiler_of("glm4_moe", {{.tp = 2}, 2});
  const RankSteps steps = steps_of(compiler, 512);
  flow::Program program = steps.back()->schedule.program;
  const std::vector<size_t> reduces = reductions(program, kAttention);
  const auto op = [&](size_t index) { return program.ops.begin() + static_cast<int64_t>(index); };
  std::rotate(op(reduces[0]), op(reduces[0] + 1), op(reduces[1] + 1));  // 0 behind 1
  steps.back()->schedule = flow::compile(std::move(program)).value();
  EXPECT_TRUE(flow::check_schedule(steps.back()->schedule).ok());  // alone it is right
  const auto joint = compiler.check_joint(steps);
  ASSERT_FALSE(joint.ok());
  EXPECT_EQ(joint.error().message(), "ranks issue different sequences of collectives");
}

TEST(ChunkCollectivesMutationTest, AChunkMissingOnOneRankIsCaughtJointly) {
  const StepCompiler compiler = compiler_of("glm4_moe", {{.tp = 2}, 2});
  RankSteps steps = steps_of(compiler, 512);
  steps.back() = std::move(steps_of(compiler_of("glm4_moe", {{.tp = 2}, 4}), 512).back());
  EXPECT_FALSE(compiler.check_joint(steps).ok());
}

// Logits of a prompt whose rows make two full chunks and a tail, or one and a tail.
std::vector<float> logits_with(const std::string& folder, const World& world, int32_t delay,
                               Format dtype) {
  std::vector<int32_t> prompt;
  for (int32_t i = 0; i < 330; ++i) prompt.push_back((i * 37 + i / 50 + 11) % 512);
  start::EngineOptions options = prompt_options(prompt.size());
  options.layout = world.layout;
  options.worker.model.dtype = dtype;
  options.worker.passes.of<passes::ChunkOptions>().chunks = world.chunks;
  options.worker.passes.of<passes::ChunkOptions>().continued = world.continued;
  options.worker.passes.of<passes::DualStreamOptions>().mode = world.dual_stream;
  options.worker.delays = {.seed = 5, .longest = delay};
  const auto engine = open_engine(folder, options);
  return logits_of(run_prompt(*engine, prompt));
}

class ChunkedModelTest : public ::testing::TestWithParam<std::string> {};

TEST_P(ChunkedModelTest, OnAndOffAreBitwiseEqual) {
  const bool bundled = GetParam() == "fairytale";
  const std::string folder = bundled ? fairytale_folder() : golden_folder(GetParam());
  const bool two_heads = GetParam().starts_with("deepseek");
  for (const int32_t tp : {2, 4}) {
    if (tp == 4 && two_heads) continue;
    for (const Format dtype : {Format::f32, Format::bf16}) {
      const int32_t ep = GetParam() == "qwen2" ? 1 : 2;
      const World whole{.layout = {.tp = tp, .ep = ep}};
      const std::vector<float> off = logits_with(folder, whole, 0, dtype);
      for (const int32_t chunks : {2, 3}) {  // 384 rows: 256 + 128, and three of 128
        for (const bool continued : {false, true}) {
          World cut = whole;
          cut.chunks = chunks;
          cut.continued = continued;
          cut.dual_stream = chunks == 2 ? Switch::on : Switch::off;
          EXPECT_TRUE(same_bytes(logits_with(folder, cut, 30 * (chunks - 2), dtype), off))
              << tp << " ranks, " << chunks << " chunks" << (continued ? ", continued" : "");
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Goldens, ChunkedModelTest,
                         ::testing::Values("glm4_moe", "deepseek_v2", "deepseek_v3", "qwen2",
                                           "qwen3_moe", "mixtral", "fairytale"),
                         [](const auto& info) { return std::string(info.param); });

// Two groups of two ranks; the rows of one group are cut, the other one runs along.
TEST(ContinuedModelTest, GroupsOfRanksAreBitwiseEqual) {
  for (const char* name : {"glm4_moe", "qwen3_moe"}) {
    const World whole{.layout = {.tp = 2, .dp = 2}};
    World cut = whole;
    cut.chunks = 2;
    cut.continued = true;
    const std::vector<float> off = logits_with(golden_folder(name), whole, 0, Format::f32);
    EXPECT_TRUE(same_bytes(logits_with(golden_folder(name), cut, 20, Format::f32), off)) << name;
  }
}

// Tokens of a request that decodes while another one's prompt is prefilled: 385 rows, of which the
// last chunk has one, and one of the ranks no part.
std::vector<int32_t> tokens_with(const World& world) {
  start::EngineOptions options{
      .context_length = 400, .max_running = 2, .chunked_prefill_size = 384, .page_size = 16};
  options.layout = world.layout;
  options.worker.passes.of<passes::ChunkOptions>().chunks = world.chunks;
  options.worker.passes.of<passes::ChunkOptions>().continued = world.continued;
  const auto engine = open_engine(golden_folder("glm4_moe"), options);
  const auto prompt = [](int32_t length) {
    std::vector<int32_t> ids;
    for (int32_t i = 0; i < length; ++i) ids.push_back((i * 53 + 7) % 512);
    return ids;
  };
  EXPECT_TRUE(engine->submit({.prompt = prompt(5), .max_tokens = 12}).ok());
  EXPECT_TRUE(engine->step().ok());
  EXPECT_TRUE(engine->submit({.prompt = prompt(370), .max_tokens = 12}).ok());
  std::vector<int32_t> all;
  for (const auto& [request, tokens] : run_to_end(*engine)) {
    all.insert(all.end(), tokens.begin(), tokens.end());
  }
  return all;
}

TEST(ContinuedModelTest, AnUnevenTailChangesNothing) {
  const World whole{.layout = {.tp = 2}};
  World cut = whole;
  cut.chunks = 8;
  cut.continued = true;
  const std::vector<int32_t> tokens = tokens_with(cut);
  EXPECT_GE(tokens.size(), 23u);
  EXPECT_EQ(tokens, tokens_with(whole));
}

// While a link is waited for, the rows of other chunks are computed.
TEST(ContinuedModelTest, ComputationRunsWhileTheLinkIsWaitedFor) {
  std::vector<int32_t> prompt(384, 3);
  std::array<int64_t, 2> together{};
  for (const bool cut : {false, true}) {
    start::EngineOptions options = prompt_options(prompt.size());
    options.layout = {.tp = 2};
    options.worker.link = LinkSpeed{.bytes_per_second = 1e9, .latency_us = 10e3};
    options.worker.passes.of<passes::DualStreamOptions>().mode = Switch::off;
    options.worker.passes.of<passes::ChunkOptions>().chunks = cut ? 3 : 1;
    options.worker.passes.of<passes::ChunkOptions>().continued = true;
    const auto engine = open_engine(golden_folder("qwen2"), options);
    flow::Trace trace;
    engine->worker().set_trace(&trace);
    run_prompt(*engine, prompt);
    together[cut ? 1 : 0] = trace.overlap_ns(1, flow::Lane::compute, flow::Lane::comm);
  }
  EXPECT_GT(together[1], 0);
  EXPECT_GT(together[1], 4 * together[0]);
}

// Every row count of a step, with and without dual_stream, on layouts whose ranks' own rows differ.
TEST(ContinuedModelTest, RanksMeetInEveryCollective) {
  const std::vector<std::pair<const char*, layout::LayoutOptions>> worlds = {
      {"glm4_moe", {.tp = 4, .ep = 2}},
      {"glm4_moe", {.tp = 2, .dp = 2}},
      {"deepseek_v2", {.tp = 2}},
      {"qwen2", {.tp = 4}}};
  for (const auto& [name, layout] : worlds) {
    for (const Switch dual_stream : {Switch::on, Switch::off}) {
      const StepCompiler compiler = compiler_of(name, {layout, 4, dual_stream, true});
      for (const layers::RowCounts rows :
           {layers::RowCounts{3, 384}, layers::RowCounts{1, 256}, layers::RowCounts{0, 512}}) {
        const RankSteps steps = std::move(compiler.compile({rows, rows})).value();
        const auto joint = compiler.check_joint(steps);
        EXPECT_TRUE(joint.ok()) << name << ": " << joint.status().to_string();
        EXPECT_TRUE(compiler.check_launches(steps, steps).ok());
        EXPECT_NE(decision_of(steps).choice.find(" chunks, continued, sums and norms"),
                  std::string::npos)
            << decision_of(steps).choice;
      }
    }
  }
}

// A MoE layer's pipelines start at combine and end at the KV cache: what depends on the data stays
// whole, all else is cut.
TEST(ContinuedModelTest, OnlyWhatDependsOnDataStaysWhole) {
  const RankSteps steps = steps_of(compiler_of("glm4_moe", {{.tp = 2}, 2, Switch::off, true}), 512);
  std::map<std::string_view, std::pair<int, int>> counts;  // kind: whole, cut
  for (const flow::Op& op : steps.front()->schedule.program.ops) {
    if (op.scope.layer != 1) continue;
    size_t last = op.operands.size() - 1;  // the output; optional operands may follow it
    while (!op.operands[last].present()) --last;
    const flow::ValueInfo& out = steps.front()->schedule.program.info(op.operands[last]);
    ++(out.rows < 512 ? counts[op.kind().name].second : counts[op.kind().name].first);
  }
  for (const char* cut : {"gemm", "add", "rms_norm", "route", "combine", "reduce_scatter"}) {
    EXPECT_EQ(counts[cut].first, 0) << cut;
    EXPECT_GE(counts[cut].second, 2) << cut;
  }
  for (const char* whole : {"attention", "permute", "grouped_gemm"}) {
    EXPECT_EQ(counts[whole].second, 0) << whole;
    EXPECT_GE(counts[whole].first, 1) << whole;
  }
  EXPECT_EQ(counts.count("all_reduce"), 0u);
}

}  // namespace
}  // namespace braid::testing
