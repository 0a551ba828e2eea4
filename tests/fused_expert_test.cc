// The shared experts as slots of the routed experts' pool: the form without a second branch. Other
// roundings than the serial form, within a bound; each way to get the sum wrong is seen.
#include "passes/fuse_shared_expert.h"

#include <gtest/gtest.h>

#include "flow/check/check.h"
#include "flow/compile.h"
#include "ops/moe.h"
#include "passes/chunk_collectives.h"
#include "passes/dual_stream.h"
#include "steps/schedules.h"
#include "support/checkpoint_copy.h"
#include "support/command.h"
#include "support/prompt.h"

namespace braid::testing {
namespace {

using flow::Program;
using flow::Role;
using layout::LayoutOptions;

constexpr const char* kModels[] = {"glm4_moe", "deepseek_v2", "deepseek_v3"};
constexpr float kLogitError = 1e-4f;  // as for every other form: golden_test.cc
// What the order of a sum of float32 numbers changes in the logits, relative.
constexpr double kFloat32Bound = 2e-6;
constexpr double kBfloat16Bound = 2e-2;  // as for every other form: bfloat16_test.cc

Program build(const std::string& golden, const LayoutOptions& layout = {}) {
  const model::ModelConfig config = model::load_config(golden_folder(golden)).value();
  model::ModelOptions options{
      .max_rows = {.decode = 8, .prefill = 0}, .page_size = 16, .num_blocks = 8, .max_blocks = 4};
  options.layout = layout::make_layout(model::layout_sizes(config), layout).value();
  const layers::RowCounts rows{.decode = 8};
  return model::DecoderModel(config, options).build({rows, rows}).value();
}

std::vector<float> logits(const std::string& folder, const std::string& golden, bool fused,
                          const LayoutOptions& layout = {}, int32_t chunks = 1) {
  const std::vector<int32_t> prompt = golden_ids(golden, "input_ids");
  start::EngineOptions options = prompt_options(prompt.size());
  options.layout = layout;
  options.worker.passes.of<passes::DualStreamOptions>() = {.mode = passes::Switch::off,
                                                           .fused = fused};
  options.worker.passes.of<passes::ChunkOptions>().chunks = chunks;
  return logits_of(run_prompt(*open_engine(folder, options), prompt));
}

// A step of eight rows behind --dual-stream fused.
Program fused_or_not(const Program& program, passes::Decisions& why) {
  const flow::Residents residents;
  const passes::PassOptions options;
  const passes::PassContext context{.options = options,
                                    .residents = residents,
                                    .decisions = why,
                                    .shape = {.own = {.decode = 8}, .group = {.decode = 8}}};
  return passes::dual_stream(program, {.fused = true}, context).value();
}

TEST(FusedExpertTest, LeavesOneBranchInEveryLayer) {
  for (const char* name : kModels) {
    const Program serial = build(name);
    passes::Decisions why;
    const Program fused = fused_or_not(serial, why);
    ASSERT_EQ(why.size(), 1u);
    EXPECT_EQ(why[0].choice, "fused slot");
    ASSERT_EQ(why[0].alternatives.size(), 3u);  // serial, two lanes, fused slot
    EXPECT_LT(why[0].alternatives[2].us, why[0].alternatives[0].us);  // fewer launches
    const auto layers = serial.scopes(Role::shared_expert).size();
    EXPECT_EQ(why[0].rewrites, static_cast<int>(7 * layers));  // 4 ops changed, 3 left out
    EXPECT_EQ(fused.ops.size(), serial.ops.size() - 3 * layers);
    EXPECT_TRUE(fused.scopes(Role::shared_expert).empty());
    const flow::Schedule schedule = flow::compile(fused, nullptr).value();
    EXPECT_EQ(schedule.lanes_used(), 2);  // one of them for the read-back of sampled ids
    EXPECT_TRUE(flow::check_schedule(schedule).ok());
  }
}

// Eight rows, four choices and the shared experts: every step buffer has room for all of them.
TEST(FusedExpertTest, BuffersHaveRoomForEveryRowInEverySharedSlot) {
  const Program fused = [] {
    int rewrites = 0;
    return passes::fuse_shared_expert(build("deepseek_v2"), rewrites).value();
  }();
  int seen = 0;
  for (const flow::Op& op : fused.ops) {
    if (op.desc.is<kernels::PermuteDesc>()) {
      EXPECT_EQ(op.desc.as<kernels::PermuteDesc>().num_slots, 16 + 2);
      EXPECT_EQ(fused.info(op.operands[ops::PermuteOperand::offsets]).rows, 19);
      EXPECT_EQ(fused.info(op.operands[ops::PermuteOperand::source]).rows, 8 * (4 + 2));
      EXPECT_EQ(fused.info(op.operands[ops::PermuteOperand::places]).cols, 4 + 2);
      ++seen;
    }
    if (op.desc.is<kernels::GroupedGemmDesc>()) {
      EXPECT_EQ(op.desc.as<kernels::GroupedGemmDesc>().num_slots, 18);
      const flow::ValueInfo& out = fused.info(op.operands[ops::GroupedGemmOperand::y]);
      EXPECT_EQ(out.rows, 8 * (4 + 2));
      EXPECT_EQ(fused.info(out.count).first_row, 18);  // the last offset
      const flow::Value weight = op.operands[ops::GroupedGemmOperand::weight];
      EXPECT_EQ(fused.info(weight).rows, fused.buffer_of(weight).rows);
      ++seen;
    }
  }
  EXPECT_EQ(seen, 3);
}

TEST(FusedExpertTest, MatchesTheReferences) {
  for (const char* name : kModels) {
    const std::vector<float> expected = golden_floats(name, "logits");
    for (const int32_t tp : {1, 2}) {
      const auto got = logits(golden_folder(name), name, true, {.tp = tp});
      EXPECT_LE(largest_difference(got, expected), kLogitError) << name << " tp " << tp;
    }
  }
  const std::string quantized = "glm4_moe_fp8_block";
  EXPECT_LE(largest_difference(logits(golden_folder(quantized), quantized, true),
                               golden_floats(quantized, "logits")),
            kLogitError);
}

// One shared expert on one rank is added to the routed experts' float32 sum last in both forms.
TEST(FusedExpertTest, DiffersFromTheSerialFormByRoundingsAlone) {
  for (const char* name : kModels) {
    const std::string folder = golden_folder(name);
    const auto fused = logits(folder, name, true), serial = logits(folder, name, false);
    const bool one_shared = std::string(name) != "deepseek_v2";
    EXPECT_EQ(same_bytes(fused, serial), one_shared) << name;
    EXPECT_LT(relative_error(fused, serial), kFloat32Bound) << name;
  }
  const auto fused = logits(golden_folder("glm4_moe"), "glm4_moe", true, {.tp = 2});
  const auto serial = logits(golden_folder("glm4_moe"), "glm4_moe", false, {.tp = 2});
  EXPECT_LT(relative_error(fused, serial), kFloat32Bound);
}

TEST(FusedExpertTest, InBfloat16LogitsStayWithinTheBoundOfTheOtherForms) {
  for (const char* name : kModels) {
    const std::vector<int32_t> prompt = golden_ids(name, "input_ids");
    start::EngineOptions options = prompt_options(prompt.size());
    options.worker.model.dtype = Format::bf16;
    options.worker.model.probes.force_routing = true;
    options.worker.passes.of<passes::DualStreamOptions>().fused = true;
    const auto engine = open_engine(golden_folder(name), options);
    force_experts(*engine, name);
    const auto got = logits_of(run_prompt(*engine, prompt));
    EXPECT_LE(relative_error(got, golden_floats(name, "logits")), kBfloat16Bound) << name;
  }
}

TEST(FusedExpertTest, ChunkedSumsAreBitwiseEqual) {
  const std::string folder = golden_folder("glm4_moe");
  EXPECT_TRUE(same_bytes(logits(folder, "glm4_moe", true, {.tp = 2}, 2),
                         logits(folder, "glm4_moe", true, {.tp = 2}, 1)));
}

// What a wrong weight of the shared expert does to the logits: each is seen by the references.
TEST(FusedExpertMutationTest, AFactorOnTheSharedExpertIsSeen) {
  const std::vector<float> expected = golden_floats("glm4_moe", "logits");
  // The routed scaling factor undone, as if it were applied to all slots; the shared expert twice,
  // and not at all.
  for (const float factor : {1 / 2.5f, 2.0f, 0.0f}) {
    CheckpointCopy copy(golden_folder("glm4_moe"));
    for (const int layer : {1, 2}) {
      const auto name = fmt::format("model.layers.{}.mlp.shared_experts.down_proj.weight", layer);
      std::vector<float> values = copy.floats(name);
      for (float& value : values) value *= factor;
      copy.set(name, copy.shape(name), values);
    }
    const auto got = logits(copy.write(), "glm4_moe", true);
    EXPECT_GT(largest_difference(got, expected), 10 * kLogitError) << factor;
  }
}

TEST(FusedExpertTest, SaysWhyNotWhereRanksHaveDifferentExperts) {
  for (const LayoutOptions& layout : {LayoutOptions{.tp = 2, .ep = 2}, {.dp = 2}}) {
    passes::Decisions why;
    const Program program = build("glm4_moe", layout);
    const Program other = fused_or_not(program, why);
    ASSERT_EQ(why.size(), 2u);
    EXPECT_EQ(why[0].choice, "not fused");
    EXPECT_NE(why[0].reason.find("ranks have different experts"), std::string::npos);
    EXPECT_EQ(why[1].choice, "two lanes");  // auto holds
    EXPECT_EQ(other.ops.size(), program.ops.size());
  }
  passes::Decisions why;
  fused_or_not(build("mixtral"), why);
  EXPECT_EQ(why[0].reason, "the model has no shared expert");
}

TEST(FusedExpertTest, ParsesItsName) {
  EXPECT_TRUE(passes::parse_dual_stream("dual-stream", "fused")->fused);
  EXPECT_FALSE(passes::parse_dual_stream("dual-stream", "on")->fused);
  EXPECT_EQ(passes::parse_dual_stream("dual-stream", "on")->mode, passes::Switch::on);
  EXPECT_FALSE(passes::parse_dual_stream("dual-stream", "both").ok());
  EXPECT_FALSE(passes::parse_switch("chunks", "fused").ok());
}

TEST(FusedExpertTest, TheBundledModelSaysTheSame) {
  const std::vector<std::string> words = {
      "generate", fairytale_folder(), "--prompt", "Once upon a time", "--max-tokens",
      "16",       "--temperature",    "0",        "--explain"};
  const auto with = [&](const std::string& form) {
    std::vector<std::string> all = words;
    all.insert(all.end(), {"--dual-stream", form});
    return run_braid(all);
  };
  const Ran fused = with("fused"), off = with("off");
  ASSERT_EQ(fused.code, 0) << fused.err;
  EXPECT_EQ(fused.out, off.out);
  EXPECT_NE(fused.err.find("dual_stream: fused slot (asked for"), std::string::npos) << fused.err;
}

}  // namespace
}  // namespace braid::testing
