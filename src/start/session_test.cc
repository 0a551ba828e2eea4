#include "start/session.h"

#include <gtest/gtest.h>

#include "base/options_table.h"
#include "model/testing.h"

namespace braid::start {
namespace {

// A session on a golden with made-up weights, as `braid generate` has it.
class SessionTest : public ::testing::Test {
 protected:
  Session open(const std::vector<std::string>& more) {
    const std::string folder = model::testing::golden_folder("glm4_moe");
    std::vector<const char*> arguments = {
        "generate",         folder.c_str(), "--load-format", "dummy", "--device", "cpu",
        "--context-length", "64",           "--kv-blocks",   "16"};
    for (const std::string& argument : more) arguments.push_back(argument.c_str());
    OptionSources sources = process_sources();
    sources.environment = [](const std::string&) { return std::nullopt; };
    options_.emplace(parse(braid_options(), arguments, sources).value());
    return Session::open({.options = *options_, .console = console_}, /*with_tokenizer=*/false)
        .value();
  }

  static int64_t largest_steps(const Session& session) {
    const model::ModelOptions& model = session.limits().model();
    return std::ssize(steps::largest_shapes(model.max_rows, model.layout.attention.sizes[0]));
  }

  std::string told_;

 private:
  Console console_{{.write = [this](std::string_view text) { told_ += text; }}};
  std::optional<ParsedOptions> options_;
};

// Planning compiles them, on every rank, to learn how much workspace they need; no rank compiles
// them again before it runs one.
TEST_F(SessionTest, StartingCompilesEachOfTheLargestStepsOnce) {
  for (const std::vector<std::string>& layout :
       {std::vector<std::string>{}, {"--tp", "2"}, {"--tp", "2", "--dp", "2"}}) {
    Session session = open(layout);
    const int64_t before = steps::compiled_steps();
    ASSERT_TRUE(session.start({.max_running = 8}).ok()) << told_;
    const int64_t planned = steps::compiled_steps() - before;
    EXPECT_EQ(planned, session.engine().ranks().size() * largest_steps(session))
        << fmt::format("{}", fmt::join(layout, " "));

    engine::Engine& engine = session.engine();
    ASSERT_TRUE(engine.submit({.prompt = {1, 2, 3}, .max_tokens = 2}).ok());
    while (!engine.idle()) ASSERT_TRUE(engine.step().ok());
    // One step of prefill and one of decode, each on every rank.
    EXPECT_EQ(steps::compiled_steps() - before - planned, 2 * engine.ranks().size());
  }
}

// Scratch memory of collectives is part of it.
TEST_F(SessionTest, EveryRankHasTheWorkspaceOfItsLargestSteps) {
  Session session = open({"--tp", "4", "--chunked-prefill-size", "256", "--overlap-chunks", "2"});
  ASSERT_TRUE(session.start({}).ok()) << told_;
  engine::Engine& engine = session.engine();
  for (int32_t rank = 0; rank < engine.ranks().size(); ++rank) {
    EXPECT_LE(engine.ranks()[rank].schedules().workspace_bytes().value(),
              engine.plan().worker.workspace_bytes);
  }
}

TEST_F(SessionTest, ThePlanIsNoLargerThanWhatIsNeeded) {
  Session session = open({"--chunked-prefill-size", "32"});
  EXPECT_EQ(session.limits().context_length, 64);
  EXPECT_EQ(session.limits().model().max_rows.prefill, 32);
  ASSERT_TRUE(session.start({.context_length = 20, .max_running = 3, .prefill_rows = 5}).ok());
  const engine::EnginePlan& plan = session.engine().plan();
  EXPECT_EQ(plan.context_length, 20);
  EXPECT_EQ(plan.model().max_blocks, 2);  // of 16 tokens
  EXPECT_EQ(plan.model().max_rows, (layers::RowCounts{.decode = 3, .prefill = 6}));
  EXPECT_FALSE(plan.run_ahead);
  EXPECT_EQ(plan.model().num_blocks, 16);
  EXPECT_GT(plan.worker.workspace_bytes, 0);
}

}  // namespace
}  // namespace braid::start
