// Groups of ranks with requests of their own: which gets which, what idle ones do, how all end.
#include <gtest/gtest.h>

#include <cstdlib>

#include "engine/engine.h"
#include "lab/verification.h"
#include "model/dummy_source.h"
#include "model/testing.h"
#include "start/resolve.h"

namespace braid {
namespace {

using layers::RowCounts;
using layers::StepShape;

std::unique_ptr<engine::Engine> dummy_engine(const start::EngineOptions& options) {
  const auto config = model::load_config(model::testing::golden_folder("glm4_moe")).value();
  auto engine = std::move(start::create_engine(config, options)).value();
  EXPECT_TRUE(engine->load(model::DummySource()).ok());
  return engine;
}

start::EngineOptions small_options(const layout::LayoutOptions& layout) {
  return {.layout = layout,
          .context_length = 32,
          .max_running = 4,
          .chunked_prefill_size = 16,
          .page_size = 4};
}

engine::Request request(int32_t tokens, int32_t max_tokens) {
  engine::Request made{.prompt = {}, .max_tokens = max_tokens};
  for (int32_t i = 0; i < tokens; ++i) made.prompt.push_back((7 * tokens + 3 * i) % 512);
  return made;
}

using Answers = std::map<engine::RequestId, std::vector<int32_t>>;

// Runs requests to their end, one more coming in after each step.
Answers answers_of(engine::Engine& engine, const std::vector<engine::Request>& requests) {
  Answers answers;
  size_t next = 0;
  while (next < requests.size() || !engine.idle()) {
    if (next < requests.size()) {
      EXPECT_TRUE(engine.submit(requests[next++]).ok());
    }
    for (const engine::TokenEvent& event : engine.step().value()) {
      answers[event.request].push_back(event.token);
    }
  }
  return answers;
}

const std::vector<engine::Request> kRequests = {request(5, 6), request(13, 3), request(1, 8),
                                                request(2, 2), request(9, 4)};

TEST(GroupsTest, RequestsGoToTheGroupWithTheFewest) {
  const auto engine = dummy_engine(small_options({.dp = 2}));
  std::vector<std::vector<size_t>> prompts;  // tokens of each group's prompts in a step
  engine->set_observer([&](int64_t, std::span<const engine::GroupStep> groups) {
    prompts.emplace_back();
    for (const engine::GroupStep& group : groups) {
      for (const engine::PlannedRows& planned : group.plan.prefill) {
        prompts.back().push_back(planned.sequence->request.prompt.size());
      }
      prompts.back().push_back(0);  // the group's end
    }
  });
  for (const int32_t tokens : {3, 4, 2}) ASSERT_TRUE(engine->submit(request(tokens, 1)).ok());
  ASSERT_EQ(engine->step().value().size(), 3u);
  EXPECT_EQ(prompts, (std::vector<std::vector<size_t>>{{3, 2, 0, 4, 0}}));
  EXPECT_TRUE(engine->idle());
}

TEST(GroupsTest, EachHasItsOwnRowsAndAllKnowTheLargest) {
  const auto engine = dummy_engine(small_options({.tp = 2, .dp = 2}));
  std::vector<std::vector<StepShape>> shapes;
  std::vector<std::vector<int32_t>> counts;  // as rank 3, a follower, got them
  engine->set_observer([&](int64_t step, std::span<const engine::GroupStep> groups) {
    shapes.push_back({groups[0].shape, groups[1].shape});
    const ranks::Worker& rank = engine->ranks()[3];
    const layers::InputLayout layout(groups[1].shape.own, rank.model().limits());
    const auto words =
        engine->ranks()[3].host_words(step).subspan(static_cast<size_t>(layout.rank_rows), 2);
    counts.emplace_back(words.begin(), words.end());
  });
  ASSERT_TRUE(engine->submit(request(5, 2)).ok());
  ASSERT_TRUE(engine->step().ok());
  ASSERT_TRUE(engine->submit(request(2, 1)).ok());  // while the first one decodes
  ASSERT_TRUE(engine->step().ok());
  const RowCounts idle{1, 0}, of_prompt{0, 6}, of_both{1, 2};
  EXPECT_EQ(shapes,
            (std::vector<std::vector<StepShape>>{{{of_prompt, of_prompt}, {idle, of_prompt}},
                                                 {{{1, 0}, of_both}, {{0, 2}, of_both}}}));
  EXPECT_EQ(counts, (std::vector<std::vector<int32_t>>{{5, 0}, {1, 2}}));  // exact ones
}

TEST(GroupsTest, SizesArePartsOfTheEngines) {
  const auto engine = dummy_engine(small_options({.dp = 2}));
  EXPECT_EQ(engine->worker().model().options().max_rows, (RowCounts{2, 8}));
  engine::EnginePlan plan{.max_running = 6, .chunked_prefill_size = 3};
  plan.worker.model.layout.attention.sizes = {4, 1};
  EXPECT_EQ(plan.of_group().max_running, 2);
  EXPECT_EQ(plan.of_group().chunked_prefill_size, 1);
}

TEST(GroupsTest, AnswersAreTheSameOnLanesAndWhoeverElseIsThere) {
  std::vector<layout::LayoutOptions> layouts = {{.dp = 2}, {.tp = 2, .dp = 2}, {.ep = 2, .dp = 4}};
  if (std::getenv("BRAID_LONG") != nullptr) {
    layouts.push_back({.dp = 8});
    layouts.push_back({.tp = 2, .ep = 4, .dp = 4});
  }
  for (const layout::LayoutOptions& layout : layouts) {
    start::EngineOptions options = small_options(layout);
    options.max_running = std::max(options.max_running, layout.dp);
    options.worker.model.dtype = layout.tp > 1 ? Format::bf16 : Format::f32;
    const auto busy = dummy_engine(options);
    const Answers together = answers_of(*busy, kRequests);
    ASSERT_EQ(together.size(), kRequests.size());
    options.worker.serial = true;
    EXPECT_EQ(answers_of(*dummy_engine(options), kRequests), together);
    for (size_t i = 0; i < kRequests.size(); ++i) {  // with idle neighbours, on group 0
      const auto alone = answers_of(*busy, {kRequests[i]});
      EXPECT_EQ(alone.begin()->second, together.at(static_cast<engine::RequestId>(i) + 1));
    }
  }
}

TEST(GroupsTest, EachPushesOutItsOwnSequences) {
  start::EngineOptions options = small_options({.dp = 2});
  options.max_running = 8;
  const std::vector<engine::Request> requests = {request(9, 8), request(8, 7), request(7, 9),
                                                 request(9, 9), request(6, 8), request(5, 5)};
  const Answers roomy = answers_of(*dummy_engine(options), requests);
  options.num_blocks = 5;  // one request and a little more
  const auto tight = dummy_engine(options);
  std::array<std::vector<flow::Lease>, 2> leases;
  for (int32_t group = 0; group < 2; ++group) {
    tight->keep_lease_log(&leases[static_cast<size_t>(group)], group);
  }
  EXPECT_EQ(answers_of(*tight, requests), roomy);
  EXPECT_GT(tight->preemptions(), 0);
  for (const auto& of_group : leases) {
    EXPECT_FALSE(of_group.empty());
    EXPECT_TRUE(flow::check_leases(of_group).ok());
  }
}

TEST(GroupsTest, CancellingFindsTheGroup) {
  const auto engine = dummy_engine(small_options({.dp = 2}));
  ASSERT_TRUE(engine->submit(request(3, 9)).ok());
  const engine::RequestId second = engine->submit(request(3, 9)).value();
  ASSERT_TRUE(engine->step().ok());
  EXPECT_TRUE(engine->cancel(second));
  EXPECT_FALSE(engine->cancel(second));
  for (const engine::TokenEvent& event : engine->step().value()) EXPECT_NE(event.request, second);
  EXPECT_TRUE(engine->cancel(second - 1));
  EXPECT_TRUE(engine->idle());
}

// Rank 3 shares no communicator with rank 0: the end of the step reaches it over the others.
TEST(GroupsTest, AnErrorOfOneRankEndsTheStepOfAllGroups) {
  const auto engine = dummy_engine(small_options({.tp = 2, .dp = 2}));
  engine->ranks()[3].schedules().bind_to(nullptr, 0);
  ASSERT_TRUE(engine->submit(request(3, 2)).ok());
  const auto step = engine->step();
  ASSERT_FALSE(step.ok());
  EXPECT_NE(step.error().to_string().find("step = 1, rank = 3)"), std::string::npos)
      << step.error().to_string();
  EXPECT_FALSE(engine->step().ok());
}

TEST(GroupsTest, RunsWithDelaysAreBitwiseEqualToSerialOnes) {
  const auto engine = dummy_engine(small_options({.tp = 2, .dp = 2}));
  const auto recording = lab::StepRecording::record(*engine, kRequests);
  ASSERT_TRUE(recording.ok()) << recording.status().to_string();
  bool unequal = false;  // some group had other rows than the largest
  for (const StepShape& shape : recording->shapes()) unequal |= shape.own != shape.group;
  EXPECT_TRUE(unequal);
  for (const uint64_t seed : {1u, 2u}) {
    const Status same = recording->replay(engine->ranks(), {.seed = seed, .longest = 100});
    EXPECT_TRUE(same.ok()) << same.to_string();
  }
}

TEST(GroupsTest, ADenseModelHasNone) {
  const auto config = model::load_config(model::testing::golden_folder("qwen2")).value();
  const auto engine = start::create_engine(config, small_options({.dp = 2}));
  ASSERT_FALSE(engine.ok());
  EXPECT_NE(engine.error().to_string().find("dp is 1 for a model without experts"),
            std::string::npos);
}

}  // namespace
}  // namespace braid
