// fuse_experts on real models: the same bits in every layout, fewer ops.
#include "passes/fuse_experts.h"

#include <gtest/gtest.h>

#include "ops/collectives.h"
#include "ops/moe.h"
#include "passes/chunk_collectives.h"
#include "passes/dual_stream.h"
#include "steps/schedules.h"
#include "support/prompt.h"

namespace braid::testing {
namespace {

using layout::LayoutOptions;
using passes::Switch;

constexpr const char* kModels[] = {"glm4_moe", "deepseek_v2", "deepseek_v3", "mixtral",
                                   "qwen3_moe"};

struct Form {
  LayoutOptions layout;
  Format dtype = Format::f32;
  passes::DualStreamOptions dual = {.mode = Switch::off};
  int32_t chunks = 1;
};

std::vector<float> logits(const std::string& golden, const Form& form, Switch fuse) {
  const std::vector<int32_t> prompt = golden_ids(golden, "input_ids");
  start::EngineOptions options = prompt_options(prompt.size());
  options.layout = form.layout;
  options.worker.model.dtype = form.dtype;
  options.worker.passes.of<passes::DualStreamOptions>() = form.dual;
  options.worker.passes.of<passes::ChunkOptions>().chunks = form.chunks;
  options.worker.passes.of<passes::FuseExpertsOptions>().mode = fuse;
  return logits_of(run_prompt(*open_engine(golden_folder(golden), options), prompt));
}

void expect_same(const Form& form) {
  for (const char* name : kModels) {
    EXPECT_TRUE(same_bytes(logits(name, form, Switch::on), logits(name, form, Switch::off)))
        << name;
  }
}

TEST(FuseExpertsTest, ChangesNoBit) {
  expect_same({});
  expect_same({.dtype = Format::bf16});
  expect_same({.dtype = Format::bf16, .dual = {.mode = Switch::on}});
}

TEST(FuseExpertsTest, ChangesNoBitOfSharedExpertsInThePool) {
  for (const char* name : {"glm4_moe", "deepseek_v2", "deepseek_v3"}) {
    for (const Format dtype : {Format::f32, Format::bf16}) {
      const Form form{.dtype = dtype, .dual = {.mode = Switch::off, .fused = true}};
      EXPECT_TRUE(same_bytes(logits(name, form, Switch::on), logits(name, form, Switch::off)))
          << name;
    }
  }
}

TEST(FuseExpertsTest, ChangesNoBitOnSeveralRanks) {
  for (const LayoutOptions& layout :
       {LayoutOptions{.tp = 2}, LayoutOptions{.tp = 2, .ep = 2}, LayoutOptions{.dp = 2}}) {
    expect_same({.layout = layout});
    expect_same({.layout = layout, .dtype = Format::bf16, .chunks = 3});
  }
}

// How many ops of each kind a decode step has.
template <typename Desc>
int64_t count(const flow::Program& program) {
  return std::count_if(program.ops.begin(), program.ops.end(),
                       [](const flow::Op& op) { return op.desc.is<Desc>(); });
}

TEST(FuseExpertsTest, LeavesOneOpOfEveryLayersEnd) {
  for (const char* name : {"glm4_moe", "qwen3_moe"}) {
    const model::ModelOptions options{
        .max_rows = {.decode = 8, .prefill = 0}, .page_size = 16, .num_blocks = 8, .max_blocks = 4};
    const model::DecoderModel model(model::load_config(golden_folder(name)).value(), options);
    const layers::RowCounts rows{.decode = 8};
    const passes::PassOptions defaults;
    passes::Decisions why;
    const auto context = steps::pass_context(model, {rows, rows}, defaults, why);
    const flow::Program before = model.build({rows, rows}).value();
    const flow::Program after = passes::fuse_experts(before, {}, context).value();
    const int64_t layers = count<kernels::CombineDesc>(before);
    EXPECT_GT(layers, 0);
    EXPECT_EQ(count<kernels::CombineDesc>(after), 0);
    EXPECT_EQ(count<kernels::ExpertsDownDesc>(after), layers);
    EXPECT_EQ(count<kernels::GroupedGemmDesc>(after), layers);
    const int64_t of_layer = std::string(name) == "glm4_moe" ? 3 : 2;  // a shared expert's sum
    EXPECT_EQ(before.ops.size() - after.ops.size(), static_cast<size_t>(of_layer * layers)) << name;
  }
}

}  // namespace
}  // namespace braid::testing
