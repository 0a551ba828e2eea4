#include "engine/scheduler.h"

#include <gtest/gtest.h>

namespace braid::engine {
namespace {

class SchedulerTest : public ::testing::Test {
 protected:
  void start(const SchedulerOptions& options, int32_t num_blocks) {
    pool_ = std::make_unique<BlockPool>(num_blocks);
    scheduler_ = std::make_unique<Scheduler>(options, *pool_);
  }

  Status add(RequestId id, int32_t prompt, int32_t max_tokens) {
    auto sequence = std::make_unique<Sequence>();
    sequence->id = id;
    sequence->request.prompt.assign(static_cast<size_t>(prompt), 1);
    sequence->request.max_tokens = max_tokens;
    sequence->tokens = sequence->request.prompt;
    return scheduler_->add(std::move(sequence));
  }

  // Plans a step and pretends that it ran: rows are computed, sequences that sample get a token.
  Plan run() {
    Plan plan = scheduler_->plan(++step_);
    for (const auto* part : {&plan.decode, &plan.prefill}) {
      for (const PlannedRows& rows : *part) {
        const bool samples = rows.samples();
        rows.sequence->computed += rows.count;
        rows.sequence->last_step = step_;
        if (samples) rows.sequence->tokens.push_back(2);
      }
    }
    pool_->step_done(step_);
    return plan;
  }

  std::unique_ptr<BlockPool> pool_;
  std::unique_ptr<Scheduler> scheduler_;
  int64_t step_ = 0;
};

TEST_F(SchedulerTest, PromptsComeInChunksThenDecodeRowsAlone) {
  start({.max_running = 4, .chunked_prefill_size = 5, .page_size = 4}, 16);
  ASSERT_TRUE(add(1, 12, 3).ok());
  EXPECT_EQ(run().rows(), (layers::RowCounts{0, 5}));
  EXPECT_EQ(run().rows(), (layers::RowCounts{0, 5}));
  const Plan last = run();
  EXPECT_EQ(last.rows(), (layers::RowCounts{0, 2}));
  EXPECT_EQ(last.prefill[0].first, 10);
  EXPECT_EQ(run().rows(), (layers::RowCounts{1, 0}));
}

TEST_F(SchedulerTest, DecodeAndPrefillShareAStep) {
  start({.max_running = 4, .chunked_prefill_size = 8, .page_size = 4}, 16);
  ASSERT_TRUE(add(1, 3, 5).ok());
  run();
  ASSERT_TRUE(add(2, 6, 5).ok());
  const Plan plan = run();
  EXPECT_EQ(plan.rows(), (layers::RowCounts{1, 6}));
  EXPECT_EQ(plan.decode[0].sequence->id, 1);
  EXPECT_EQ(plan.prefill[0].sequence->id, 2);
}

TEST_F(SchedulerTest, APromptOfOneTokenIsPrefill) {
  start({.max_running = 4, .chunked_prefill_size = 8, .page_size = 4}, 16);
  ASSERT_TRUE(add(1, 1, 5).ok());
  EXPECT_EQ(run().rows(), (layers::RowCounts{0, 1}));
  EXPECT_EQ(run().rows(), (layers::RowCounts{1, 0}));
}

TEST_F(SchedulerTest, SequencesInPrefillAreBounded) {
  start({.max_running = 10, .chunked_prefill_size = 100, .max_prefill_sequences = 3}, 64);
  for (RequestId id = 1; id <= 5; ++id) ASSERT_TRUE(add(id, 2, 5).ok());
  EXPECT_EQ(run().prefill.size(), 3u);
  const Plan plan = run();
  EXPECT_EQ(plan.decode.size(), 3u);
  EXPECT_EQ(plan.prefill.size(), 2u);
}

TEST_F(SchedulerTest, RunningSequencesAreBounded) {
  start({.max_running = 2, .chunked_prefill_size = 100}, 64);
  for (RequestId id = 1; id <= 3; ++id) ASSERT_TRUE(add(id, 2, 5).ok());
  EXPECT_EQ(run().prefill.size(), 2u);
  EXPECT_EQ(run().prefill.size(), 0u);
}

TEST_F(SchedulerTest, WithoutBlocksTheYoungestGivesWayAndComesBack) {
  start({.max_running = 4, .chunked_prefill_size = 100, .page_size = 2}, 4);
  ASSERT_TRUE(add(1, 2, 6).ok());
  ASSERT_TRUE(add(2, 2, 6).ok());
  run();                    // one block each
  run();                    // a second block each: none left
  run();                    // both still fit their blocks
  const Plan plan = run();  // the older one needs a third block
  ASSERT_EQ(plan.decode.size(), 1u);
  EXPECT_EQ(plan.decode[0].sequence->id, 1);
  EXPECT_EQ(scheduler_->preemptions(), 1);
  scheduler_->finish(plan.decode[0].sequence);
  const Plan again = run();  // the younger one is computed again, answer included
  ASSERT_EQ(again.prefill.size(), 1u);
  EXPECT_EQ(again.prefill[0].sequence->id, 2);
  EXPECT_EQ(again.prefill[0].first, 0);
  EXPECT_GT(again.prefill[0].count, 2);
}

TEST_F(SchedulerTest, WhatCanNeverFitIsRefused) {
  start({.max_running = 4, .chunked_prefill_size = 100, .page_size = 2}, 4);
  EXPECT_TRUE(add(1, 4, 4).ok());
  const Status status = add(2, 5, 4);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind(), ErrorKind::exhausted);
  EXPECT_NE(status.to_string().find("--kv-blocks"), std::string::npos);
}

TEST_F(SchedulerTest, CancelWorksWaitingAndRunning) {
  start({.max_running = 1, .chunked_prefill_size = 100, .page_size = 2}, 4);
  ASSERT_TRUE(add(1, 2, 2).ok());
  ASSERT_TRUE(add(2, 2, 2).ok());
  run();
  EXPECT_TRUE(scheduler_->cancel(2));
  EXPECT_TRUE(scheduler_->cancel(1));
  EXPECT_FALSE(scheduler_->cancel(1));
  EXPECT_TRUE(scheduler_->idle());
  EXPECT_EQ(pool_->num_free(), 4);
}

}  // namespace
}  // namespace braid::engine
