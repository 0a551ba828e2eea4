// Ranks that are processes: what they compute is what threads compute.
#include "engine/process_ranks.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include "engine/evaluate.h"
#include "engine/process_test_util.h"

namespace braid::engine {
namespace {

using testing::answers_of;
using testing::on_processes;
using testing::on_threads;
using testing::small_options;

class ProcessRanksTest : public ::testing::TestWithParam<layout::LayoutOptions> {};

TEST_P(ProcessRanksTest, AnswerAsThreadsDo) {
  for (const Format dtype : {Format::f32, Format::bf16}) {
    EngineOptions options = small_options(GetParam());
    options.worker.model.dtype = dtype;
    const auto threads = on_threads(options);
    ASSERT_TRUE(threads.ok()) << threads.status().to_string();
    EXPECT_GT(threads->size(), 40u);
    const auto processes = on_processes(options);
    ASSERT_TRUE(processes.ok()) << processes.status().to_string();
    EXPECT_EQ(*processes, *threads);
    EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);  // no process is left over
  }
}

TEST_P(ProcessRanksTest, LogitsAreBitwiseThoseOfThreads) {
  EngineOptions options = small_options(GetParam());
  options.worker.model.dtype = Format::bf16;
  options.worker.model.probes = {.all_logits = true};
  const auto logits = [](Engine& engine) -> Result<std::string> {
    const std::vector<int32_t> ids = {3, 5, 1, 500, 77, 8, 250, 9, 4};
    const Logits found = TRY(evaluate_logits(engine, ids));
    const auto bytes = std::as_bytes(std::span(found.values));
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  };
  const auto threads = on_threads(options, logits), processes = on_processes(options, logits);
  ASSERT_TRUE(threads.ok() && processes.ok()) << processes.status().to_string();
  EXPECT_EQ(threads->size(), 9 * 512 * sizeof(float));
  EXPECT_TRUE(*processes == *threads);
}

INSTANTIATE_TEST_SUITE_P(Layouts, ProcessRanksTest,
                         ::testing::Values(layout::LayoutOptions{.tp = 2},
                                           layout::LayoutOptions{.tp = 2, .ep = 2},
                                           layout::LayoutOptions{.dp = 2},
                                           layout::LayoutOptions{.tp = 2, .dp = 2}));

// How rows get to their experts, and in which format; what runs beside that.
struct Sent {
  int32_t dp = 2;
  passes::DispatchChoice dispatch = passes::DispatchChoice::all_to_all;
  passes::DispatchDtype payload = passes::DispatchDtype::unquantized;
  passes::Switch dual_stream = passes::Switch::off;
  passes::Switch heat = passes::Switch::off;

  EngineOptions options() const {
    EngineOptions options = small_options({.dp = dp});
    options.worker.model.dtype = Format::bf16;
    options.worker.model.probes = {.all_logits = true};
    options.worker.passes.dispatch = dispatch;
    options.worker.passes.quantize_dispatch.dtype = payload;
    options.worker.passes.dual_stream.mode = dual_stream;
    options.worker.passes.heat.mode = heat;
    return options;
  }
};

// Logits of one request, and answers of three. With one request alone the other ranks have a row of
// padding, which is sent nowhere.
Result<std::string> logits_and_answers(Engine& engine) {
  const std::vector<int32_t> ids = {3, 5, 1, 500, 77, 8, 250, 9, 4};
  const Logits found = TRY(evaluate_logits(engine, ids));
  const auto bytes = std::as_bytes(std::span(found.values));
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()) +
         TRY(answers_of(engine));
}

TEST(ProcessDispatchTest, RowsThatAreSentHaveTheBitsOfAGatherAmongThreads) {
  using passes::DispatchDtype;
  using passes::Switch;
  for (const Sent& sent : {Sent{},
                           Sent{.dp = 4},
                           {.dp = 4, .payload = DispatchDtype::fp8},
                           {.dp = 2, .payload = DispatchDtype::nvfp4},
                           {.dp = 4, .dual_stream = Switch::on, .heat = Switch::on},
                           {.dp = 2, .payload = DispatchDtype::fp8, .dual_stream = Switch::on}}) {
    const Sent gathered = {
        .dp = sent.dp, .dispatch = passes::DispatchChoice::gather, .payload = sent.payload};
    const auto expected = on_threads(gathered.options(), logits_and_answers);
    const auto got = on_processes(sent.options(), logits_and_answers);
    ASSERT_TRUE(expected.ok()) << expected.status().to_string();
    ASSERT_TRUE(got.ok()) << got.status().to_string();
    EXPECT_GT(expected->size(), 9 * 512 * sizeof(float) + 40);
    EXPECT_TRUE(*got == *expected) << "dp " << sent.dp;
  }
}

TEST(ProcessRanksErrorTest, WhatIsInOtherProcessesIsNotLookedInto) {
  EngineOptions options = small_options({.dp = 2});
  options.worker.model.probes = {.all_logits = true};
  const auto refused = on_processes(options, [](Engine& engine) -> Result<std::string> {
    const std::vector<int32_t> ids = {3, 5, 1, 7};
    TRY(evaluate_likelihood(engine, ids, 2));
    return std::string("it was");
  });
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind(), ErrorKind::unsupported);
  EXPECT_NE(refused.error().to_string().find("--cpu-ranks thread"), std::string::npos)
      << refused.error().to_string();
}

// An error before the first step comes as it is, from whichever rank met with it.
TEST(ProcessRanksErrorTest, AnErrorOfTheEngineComesAsItIs) {
  const auto refused = on_processes(small_options({.tp = 2}), [](Engine& engine) {
    return Result<std::string>(engine.submit({.prompt = {}}).status().error());
  });
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind(), ErrorKind::usage);
  EXPECT_EQ(refused.error().to_string(), "the prompt is empty. Give at least one token.");
}

}  // namespace
}  // namespace braid::engine
