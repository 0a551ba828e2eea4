// chunk_collectives on real models: same bits on two and four ranks, Schedules that prove jointly,
// and the mistakes that must be caught.
#include "passes/chunk_collectives.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "engine/verification.h"
#include "flow/compile.h"
#include "ops/collectives.h"
#include "support/prompt.h"

namespace braid::testing {
namespace {

using engine::RankSteps;
using engine::StepCompiler;
using flow::Schedule;
using passes::Switch;

struct World {
  layout::LayoutOptions layout;
  int32_t chunks = 1;
  Switch dual_stream = Switch::off;
};

StepCompiler compiler_of(const std::string& name, const World& world) {
  const model::ModelConfig config = model::load_config(golden_folder(name)).value();
  engine::WorkerOptions options;
  options.model = {
      .max_rows = {.decode = 4, .prefill = 512}, .page_size = 16, .num_blocks = 8, .max_blocks = 4};
  options.model.layout = layout::make_layout(model::layout_sizes(config), world.layout).value();
  options.passes.chunks.chunks = world.chunks;
  options.passes.dual_stream.mode = world.dual_stream;
  return StepCompiler(config, options);
}

RankSteps steps_of(const StepCompiler& compiler, int32_t rows) {
  const layers::RowCounts prefill{.prefill = rows};
  return std::move(compiler.compile({prefill, prefill})).value();
}

const passes::Decision& decision_of(const RankSteps& steps) {
  return steps.front()->decisions.back();
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
  EXPECT_EQ(choice({{.tp = 2}, 1}, 512), "not asked for; no measured prices to choose by yet");
  EXPECT_EQ(choice({{.tp = 2}, 4}, 192), "192 rows: fewer than two chunks of 128");
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
  engine::EngineOptions options = prompt_options(prompt.size());
  options.layout = world.layout;
  options.worker.model.dtype = dtype;
  options.worker.passes.chunks.chunks = world.chunks;
  options.worker.passes.dual_stream.mode = world.dual_stream;
  options.worker.delays = {.seed = 5, .longest = delay};
  const auto engine = open_engine(folder, options);
  return logits_of(run_prompt(*engine, prompt));
}

class ChunkedModelTest : public ::testing::TestWithParam<std::string> {};

TEST_P(ChunkedModelTest, OnAndOffAreBitwiseEqual) {
  const std::string folder = golden_folder(GetParam());
  const bool two_heads = GetParam().starts_with("deepseek");
  for (const int32_t tp : {2, 4}) {
    if (tp == 4 && two_heads) continue;
    for (const Format dtype : {Format::f32, Format::bf16}) {
      const int32_t ep = GetParam() == "qwen2" ? 1 : 2;
      const World whole{.layout = {.tp = tp, .ep = ep}};
      const std::vector<float> off = logits_with(folder, whole, 0, dtype);
      for (const int32_t chunks : {2, 3}) {  // 384 rows: 256 + 128, and three of 128
        World cut = whole;
        cut.chunks = chunks;
        cut.dual_stream = chunks == 2 ? Switch::on : Switch::off;
        EXPECT_TRUE(same_bytes(logits_with(folder, cut, 30 * (chunks - 2), dtype), off))
            << tp << " ranks, " << chunks << " chunks";
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Goldens, ChunkedModelTest,
                         ::testing::Values("glm4_moe", "deepseek_v2", "deepseek_v3", "qwen2",
                                           "qwen3_moe", "mixtral"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace braid::testing
