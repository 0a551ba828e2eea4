#include "engine/memory_budget.h"

#include <gtest/gtest.h>

#include "engine/engine.h"
#include "model/testing.h"

namespace braid::engine {
namespace {

constexpr int64_t kGigabyte = 1'000'000'000;

model::ModelConfig golden_config(const std::string& name) {
  return model::load_config(model::testing::golden_folder(name)).value();
}

EngineOptions resolved(const model::ModelConfig& config, const EngineOptions& options) {
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
  const EngineOptions whole = resolved(config, {.max_running = 5, .chunked_prefill_size = 100});
  EXPECT_EQ(whole.context_length, config.max_positions);
  EXPECT_EQ(whole.worker.model.max_rows.decode, 6);  // the bucket
  EXPECT_EQ(whole.worker.model.max_rows.prefill, 128);
  const EngineOptions part = resolved(config, {.context_length = 33, .page_size = 8});
  EXPECT_EQ(part.worker.model.max_blocks, 5);

  const auto refused =
      resolve(config, {.context_length = static_cast<int32_t>(config.max_positions) + 1});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind(), ErrorKind::usage);
}

void expect_what_the_engine_declares(const std::string& name, const layout::LayoutOptions& layout) {
  const model::ModelConfig config = golden_config(name);
  EngineOptions options =
      resolved(config, {.layout = layout, .context_length = 64, .max_running = 3});
  const MemoryBudget budget =
      plan_memory(config, options, {kGigabyte, options.worker.model.layout.world}).value();
  EXPECT_EQ(budget.num_blocks, 3 * 4);  // full contexts fit
  options.num_blocks = budget.num_blocks;
  const auto engine = Engine::create(config, options);
  ASSERT_TRUE(engine.ok());
  int64_t weights = 0, carried = 0, workspace = 0;
  for (int32_t rank = 0; rank < (*engine)->ranks().size(); ++rank) {
    ranks::Worker& worker = (*engine)->ranks()[rank];
    weights += worker.model().residents().bytes(flow::Lifetime::weight);
    carried += worker.model().residents().bytes(flow::Lifetime::carried);
    workspace += worker.schedules().workspace_bytes().value();
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
}

TEST(MemoryBudgetTest, TheCacheTakesWhatIsLeft) {
  const model::ModelConfig config = golden_config("glm4_moe");
  const EngineOptions options = resolved(config, {.context_length = 64, .max_running = 64});
  const MemoryBudget all = plan_memory(config, options, {100 * kGigabyte}).value();
  EXPECT_EQ(all.num_blocks, 64 * 4);
  const int64_t cache = bytes_of_line(all, "KV cache");
  const int64_t tight = (all.total() - cache / 2) * 10 / 9;  // a tenth is kept free
  const MemoryBudget half = plan_memory(config, options, {tight}).value();
  EXPECT_NEAR(half.num_blocks, 32 * 4, 1);
  EXPECT_TRUE(half.check().ok());
  EXPECT_NE(half.table().find("of 64 full contexts"), std::string::npos) << half.table();
  EXPECT_EQ(plan_memory(config, options, {0}).value().num_blocks, 64 * 4);  // unknown: no bound
}

struct Refusal {
  int64_t available;
  EngineOptions options;
  std::string remedy;  // a part of it
};

TEST(MemoryBudgetTest, TooLittleMemoryNamesTheOptionToChange) {
  const model::ModelConfig config = golden_config("glm4_moe");
  const EngineOptions options =
      resolved(config, {.context_length = 64, .max_running = 1, .chunked_prefill_size = 4096});
  const MemoryBudget fits = plan_memory(config, options, {kGigabyte}).value();
  const int64_t weights = bytes_of_line(fits, "weights");
  EngineOptions many_blocks = options;
  many_blocks.num_blocks = 1'000'000;
  for (const Refusal& refusal :
       {Refusal{kGigabyte / 10, resolved(config, many_blocks), "--kv-blocks to "},
        Refusal{weights + 1000, options, "--chunked-prefill-size"},
        Refusal{weights - 1000, options, "--dtype bfloat16"},
        Refusal{weights / 3, options, "smaller model"}}) {
    const MemoryBudget budget = plan_memory(config, refusal.options, {refusal.available}).value();
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
  EngineOptions options = resolved(config, {.context_length = 64, .num_blocks = 1'000'000});
  const MemoryBudget refused = plan_memory(config, options, {kGigabyte / 10}).value();
  const std::string remedy = refused.check().error().remedy();
  options.num_blocks = std::stoi(remedy.substr(remedy.find_first_of("0123456789")));
  options = resolved(config, options);
  EXPECT_TRUE(plan_memory(config, options, {kGigabyte / 10}).value().check().ok());
  ++options.num_blocks;
  options = resolved(config, options);
  EXPECT_FALSE(plan_memory(config, options, {kGigabyte / 10}).value().check().ok());
}

}  // namespace
}  // namespace braid::engine
