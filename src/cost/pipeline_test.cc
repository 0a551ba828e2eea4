#include "cost/pipeline.h"

#include <gtest/gtest.h>

namespace braid::cost {
namespace {

// A device on which a FLOP and a byte on the link take a microsecond each.
DeviceProfile unit(double takes = 0) {
  return {.name = "",
          .flop_per_second = 1e6,
          .bytes_per_second = 1e6,
          .launch_us = 1,
          .link = {.bytes_per_second = 1e6, .latency_us = 1},
          .collective_us = 2,
          .collective_takes = takes};
}

RowWork ops(double us_per_row) { return {.each_chunk = {}, .each_row = {.flop = us_per_row}}; }
RowWork link(double us_per_row) {
  return {
      .each_chunk = {.messages = 2}, .each_row = {.link_bytes = us_per_row}, .collective = true};
}

using Rows = std::vector<int64_t>;

TEST(PipelineTest, WorkOfAChunkAndOfItsRows) {
  const RowWork gemm = {.each_chunk = {.bytes = 100}, .each_row = {.flop = 2, .bytes = 1}};
  EXPECT_EQ(us_of(gemm, 10, unit()), 1 + 110);     // bound by memory
  EXPECT_EQ(us_of(gemm, 1000, unit()), 1 + 2000);  // by arithmetic
  EXPECT_EQ(us_of(link(1), 10, unit()), 2 + 2 + 10);
}

TEST(PipelineTest, OneChunkIsSerial) {
  const std::vector<Stage> stages = {{{ops(1)}, {link(1)}}, {{ops(2)}, {link(1)}, true}};
  EXPECT_EQ(pipeline_us(stages, Rows{100}, unit()), 101 + 104 + 201 + 104);
}

TEST(PipelineTest, AllButTheLastReductionHides) {
  const std::vector<Stage> stages = {{{ops(2)}, {link(1)}}};
  EXPECT_EQ(pipeline_us(stages, Rows{50, 50}, unit()), 101 + 101 + 54);
  EXPECT_EQ(pipeline_us(stages, Rows{50, 25}, unit()), 101 + 51 + 29 + 3);  // 3: the first's rest
}

TEST(PipelineTest, WithASlowLinkComputationHides) {
  const std::vector<Stage> stages = {{{ops(1)}, {link(3)}}};
  EXPECT_EQ(pipeline_us(stages, Rows{50, 50}, unit()), 51 + 154 + 154);
}

TEST(PipelineTest, AContinuedStageHidesTheLastReductionToo) {
  std::vector<Stage> stages = {{{ops(2)}, {link(1)}}, {{ops(4)}, {}, true}};
  // 0 and 1 made at 101 and 202; the first is there at 155, the second at 256, the end is 202+2·201
  EXPECT_EQ(pipeline_us(stages, Rows{50, 50}, unit()), 202 + 402);
  stages[1].continues = false;
  EXPECT_EQ(pipeline_us(stages, Rows{50, 50}, unit()), 256 + 402);
}

TEST(PipelineTest, WhatCollectivesTakeDelaysComputation) {
  const std::vector<Stage> stages = {{{ops(2)}, {link(1)}}, {{ops(4)}, {}, true}};
  // The second chunk pays for the first one's 54 us, the next stage for the second's.
  EXPECT_EQ(pipeline_us(stages, Rows{50, 50}, unit(1)), 202 + 54 + 54 + 402);
  // In one piece computation waits anyway.
  EXPECT_EQ(pipeline_us(stages, Rows{100}, unit(1)), pipeline_us(stages, Rows{100}, unit(0)));
}

}  // namespace
}  // namespace braid::cost
