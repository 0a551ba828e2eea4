#include "start/memory_budget.h"

#include <gtest/gtest.h>

#include "model/testing.h"
#include "start/resolve.h"

namespace braid::start {
namespace {

constexpr int64_t kGigabyte = 1'000'000'000;

model::ModelConfig golden_config(const std::string& name) {
  return model::load_config(model::testing::golden_folder(name)).value();
}

EnginePlan resolved(const model::ModelConfig& config, const EngineOptions& options) {
  return resolve(config, options).value();
}

int64_t bytes_of_line(const MemoryBudget& budget, std::string_view what) {
  for (const BudgetLine& line : budget.lines) {
    if (line.what == what) return line.bytes;
  }
  return -1;
}

TEST(MemoryBudgetTest, ResolvesSizesFromTheConfiguration) {
  const model::ModelConfig config = golden_config("glm4_moe");
  const EnginePlan whole = resolved(config, {.max_running = 5, .chunked_prefill_size = 100});
  EXPECT_EQ(whole.context_length, config.max_positions);
  EXPECT_EQ(whole.worker.model.max_rows.decode, 6);  // the bucket
  EXPECT_EQ(whole.worker.model.max_rows.prefill, 128);
  const EnginePlan part = resolved(config, {.context_length = 33, .page_size = 8});
  EXPECT_EQ(part.worker.model.max_blocks, 5);

  const auto refused =
      resolve(config, {.context_length = static_cast<int32_t>(config.max_positions) + 1});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind(), ErrorKind::usage);
}

void expect_what_the_engine_declares(const std::string& name, const layout::LayoutOptions& layout) {
  const model::ModelConfig config = golden_config(name);
  const EnginePlan plan =
      resolved(config, {.layout = layout, .context_length = 64, .max_running = 3});
  const MemoryBudget budget = plan_memory(config, plan,
                                          {.available = kGigabyte,
                                           .ranks = plan.model().layout.world,
                                           .ranks_here = plan.model().layout.world})
                                  .value();
  EXPECT_EQ(budget.num_blocks, plan.of_group().max_running * 4);  // full contexts fit
  const auto engine =
      engine::Engine::create(config, with_memory(plan, budget.num_blocks, budget.workspace_bytes));
  ASSERT_TRUE(engine.ok());
  int64_t weights = 0, carried = 0, workspace = 0;
  for (int32_t rank = 0; rank < (*engine)->ranks().size(); ++rank) {
    ranks::Worker& worker = (*engine)->ranks()[rank];
    weights += worker.model().residents().bytes(flow::Lifetime::weight);
    carried += worker.model().residents().bytes(flow::Lifetime::carried);
    workspace += worker.schedules().workspace_bytes().value();
    EXPECT_EQ(worker.schedules().workspace_bytes().value(), budget.workspace_bytes) << rank;
  }
  EXPECT_EQ(bytes_of_line(budget, "weights"), weights);
  EXPECT_EQ(bytes_of_line(budget, "KV cache") + bytes_of_line(budget, "other state"), carried);
  EXPECT_EQ(bytes_of_line(budget, "workspace"), workspace);
  EXPECT_TRUE(budget.check().ok());
}

TEST(MemoryBudgetTest, AgreesWithWhatTheEngineDeclares) {
  expect_what_the_engine_declares("deepseek_v2", {});
  expect_what_the_engine_declares("deepseek_v2", {.tp = 2, .ep = 2});
  expect_what_the_engine_declares("glm4_moe", {.tp = 4, .ep = 2});
  expect_what_the_engine_declares("glm4_moe", {.ep = 4, .dp = 4});
  expect_what_the_engine_declares("qwen3_moe", {.tp = 2, .dp = 2});
  expect_what_the_engine_declares("qwen2", {.tp = 2});
}

TEST(MemoryBudgetTest, TheCacheTakesWhatIsLeft) {
  const model::ModelConfig config = golden_config("glm4_moe");
  const EnginePlan plan = resolved(config, {.context_length = 64, .max_running = 64});
  const MemoryBudget all = plan_memory(config, plan, {100 * kGigabyte}).value();
  EXPECT_EQ(all.num_blocks, 64 * 4);
  const int64_t cache = bytes_of_line(all, "KV cache");
  const int64_t tight = (all.total() - cache / 2) * 10 / 9;  // a tenth is kept free
  const MemoryBudget half = plan_memory(config, plan, {tight}).value();
  EXPECT_NEAR(half.num_blocks, 32 * 4, 1);
  EXPECT_TRUE(half.check().ok());
  EXPECT_NE(half.table().find("of 64 full contexts"), std::string::npos) << half.table();
  EXPECT_EQ(plan_memory(config, plan, {0}).value().num_blocks, 64 * 4);  // unknown: no bound
}

struct Refusal {
  int64_t available;
  EnginePlan plan;
  std::string remedy;  // a part of it
};

TEST(MemoryBudgetTest, TooLittleMemoryNamesTheOptionToChange) {
  const model::ModelConfig config = golden_config("glm4_moe");
  const EnginePlan plan =
      resolved(config, {.context_length = 64, .max_running = 1, .chunked_prefill_size = 4096});
  const MemoryBudget fits = plan_memory(config, plan, {kGigabyte}).value();
  const int64_t weights = bytes_of_line(fits, "weights");
  EnginePlan many_blocks = plan;
  many_blocks.worker.model.num_blocks = 1'000'000;
  for (const Refusal& refusal : {Refusal{kGigabyte / 10, many_blocks, "--kv-blocks to "},
                                 Refusal{weights + 1000, plan, "--chunked-prefill-size"},
                                 Refusal{weights - 1000, plan, "--dtype bfloat16"},
                                 Refusal{weights / 3, plan, "smaller model"}}) {
    const MemoryBudget budget = plan_memory(config, refusal.plan, {refusal.available}).value();
    const Status status = budget.check();
    ASSERT_FALSE(status.ok()) << refusal.remedy;
    EXPECT_EQ(status.error().kind(), ErrorKind::exhausted);
    EXPECT_NE(status.error().remedy().find(refusal.remedy), std::string::npos)
        << status.to_string();
    EXPECT_EQ(status.error().message(), "the engine does not fit into the memory");
    EXPECT_EQ(status.error().values().size(), 2 + budget.lines.size());
  }
}

TEST(MemoryBudgetTest, TheNamedNumberOfBlocksFits) {
  const model::ModelConfig config = golden_config("qwen2");
  EnginePlan plan = resolved(config, {.context_length = 64, .num_blocks = 1'000'000});
  const MemoryBudget refused = plan_memory(config, plan, {kGigabyte / 10}).value();
  const std::string remedy = refused.check().error().remedy();
  plan.worker.model.num_blocks = std::stoi(remedy.substr(remedy.find_first_of("0123456789")));
  EXPECT_TRUE(plan_memory(config, plan, {kGigabyte / 10}).value().check().ok());
  ++plan.worker.model.num_blocks;
  EXPECT_FALSE(plan_memory(config, plan, {kGigabyte / 10}).value().check().ok());
}

}  // namespace
}  // namespace braid::start
