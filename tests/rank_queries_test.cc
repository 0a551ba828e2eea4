#include "ranks/query_service.h"

#include <gtest/gtest.h>

#include "comm/control/message.h"
#include "lab/evaluate.h"
#include "ranks/log_likelihood.h"
#include "ranks/serialization.h"
#include "ranks/trace_message.h"
#include "support/process_ranks_util.h"

namespace braid {
namespace {

using testing::small_model;
using testing::small_options;

// Ranks 0 and 1 of an engine, which has run a prompt of five tokens.
class RankQueriesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    start::EngineOptions options = small_options({.tp = 2});
    options.worker.model.probes.all_logits = true;
    engine_ = std::move(start::create_engine(small_model(), options)).value();
    ASSERT_TRUE(engine_->load(model::DummySource()).ok());
    ASSERT_TRUE(engine_->submit({.prompt = {3, 5, 1, 500, 77}, .max_tokens = 4}).ok());
    ASSERT_TRUE(engine_->step().ok());
  }

  ranks::Ranks& ranks() { return engine_->ranks(); }
  const model::StateBuffers& state() { return engine_->worker().model().state(); }
  std::string ask(int32_t rank, const ranks::RankQuery& query) {
    return ranks().ask(rank, query).value();
  }
  std::string refusal(const ranks::RankQuery& query) {
    const auto answer = ranks().ask(1, query);
    return answer.ok() ? "" : answer.error().to_string();
  }

  std::unique_ptr<engine::Engine> engine_;
};

TEST_F(RankQueriesTest, ReadsAndWritesRowsOfItsRankAlone) {
  const ranks::ResidentRows rows{
      .resident = state().inputs_host, .first = 3, .count = 4, .copy = 1};
  const std::string before = ask(0, ranks::RankQuery::read(rows));
  const std::vector<int32_t> numbers = {10, -11, 12, 13};
  EXPECT_EQ(ask(1, ranks::RankQuery::write(rows, ranks::bytes_of_values<int32_t>(numbers))), "");
  EXPECT_EQ(ranks::values_of_bytes<int32_t>(ask(1, ranks::RankQuery::read(rows))).value(), numbers);
  EXPECT_EQ(ask(0, ranks::RankQuery::read(rows)), before);
  const auto words = ranks()[1].host_words(1).subspan(3, 4);
  EXPECT_TRUE(std::equal(words.begin(), words.end(), numbers.begin()));
}

TEST_F(RankQueriesTest, RefusesRowsThatItHasNot) {
  const flow::Residents& residents = engine_->worker().model().residents();
  const int64_t rows = residents[state().logits].rows;
  for (const ranks::ResidentRows& wild :
       {ranks::ResidentRows{.resident = -1},
        {.resident = residents.size()},
        {.resident = state().logits, .copy = 1},
        {.resident = state().logits, .first = -1},
        {.resident = state().logits, .count = -1},
        {.resident = state().logits, .count = rows + 1},
        {.resident = state().logits, .first = 1, .count = rows}}) {
    EXPECT_NE(refusal(ranks::RankQuery::read(wild)).find("rows that it does not have"),
              std::string::npos);
  }
  const ranks::ResidentRows one{.resident = state().logits, .count = 1};
  EXPECT_NE(refusal(ranks::RankQuery::write(one, "few")).find("rank = 1"), std::string::npos);
  const std::vector<int32_t> wild = {512};
  EXPECT_NE(refusal(ranks::RankQuery::score(wild)).find("target = 512"), std::string::npos);
  EXPECT_NE(refusal(ranks::RankQuery::compare_state(9)).find("kept no state"), std::string::npos);
}

TEST_F(RankQueriesTest, ScoresRowsOfTheLogits) {
  const std::vector<int32_t> targets = {5, 1, 500, 77, 9};
  const auto scores =
      ranks::values_of_bytes<double>(ask(1, ranks::RankQuery::score(targets))).value();
  ASSERT_EQ(scores.size(), targets.size());
  for (size_t row = 0; row < targets.size(); ++row) {
    const auto logits = ranks::values_of_bytes<float>(
        ask(1, ranks::RankQuery::read(
                   {.resident = state().logits, .first = static_cast<int64_t>(row), .count = 1})));
    EXPECT_EQ(scores[row], ranks::negative_log_likelihood(*logits, targets[row]));
  }
}

TEST_F(RankQueriesTest, FindsWhatDiffersFromAKeptState) {
  EXPECT_EQ(ask(1, ranks::RankQuery::keep_state(7)), "");
  EXPECT_EQ(ask(1, ranks::RankQuery::compare_state(7)), "");
  const ranks::ResidentRows row{.resident = state().logits, .first = 2, .count = 1};
  std::string bytes = ask(1, ranks::RankQuery::read(row));
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  ask(1, ranks::RankQuery::write(row, bytes));
  const std::string name = engine_->worker().model().residents()[state().logits].name;
  EXPECT_EQ(comm::unpack(ask(1, ranks::RankQuery::compare_state(7))).value(),
            (std::vector<std::string>{name, "2"}));
  ask(1, {.kind = ranks::RankQuery::Kind::clear_state});
  EXPECT_EQ(ask(1, ranks::RankQuery::read(row)), std::string(bytes.size(), '\0'));
}

TEST_F(RankQueriesTest, TracesTheStepsThatItIsAskedFor) {
  ask(1, ranks::RankQuery::trace(true));
  ASSERT_TRUE(engine_->step().ok());
  ask(1, ranks::RankQuery::trace(false));
  ASSERT_TRUE(engine_->step().ok());
  const auto trace =
      ranks::TraceMessage::from_bytes(ask(1, {.kind = ranks::RankQuery::Kind::take_trace})).value();
  ASSERT_EQ(trace.steps.size(), 1u);
  EXPECT_EQ(trace.steps.begin()->first, 2);
  EXPECT_EQ(trace.steps.begin()->second.shape, (layers::StepShape{{1, 0}, {1, 0}}));
  EXPECT_EQ(std::ssize(trace.events), trace.steps.begin()->second.ops);
}

}  // namespace
}  // namespace braid
