#include "cost/cost_model.h"

#include <gtest/gtest.h>

#include "cost/decisions.h"

namespace braid::cost {
namespace {

DeviceProfile profile() {
  return {.name = "",
          .flop_per_second = 1e9,
          .bytes_per_second = 1e8,
          .launch_us = 2,
          .link = {.bytes_per_second = 1e7, .latency_us = 5},
          .collective_us = 7};
}

TEST(CostModelTest, AnOpTakesTheLongerOfArithmeticAndMemory) {
  const CostModel model = profile();
  EXPECT_DOUBLE_EQ(model.op_us({.flop = 1000, .bytes = 50}), 2 + 1);
  EXPECT_DOUBLE_EQ(model.op_us({.flop = 1000, .bytes = 500}), 2 + 5);
  EXPECT_DOUBLE_EQ(model.collective_us({.link_bytes = 100, .messages = 3}), 7 + 15 + 10);
}

TEST(CostModelTest, QuantizationIsKnownWhereBothNumbersAre) {
  DeviceProfile measured = profile();
  EXPECT_FALSE(CostModel(measured).knows_quantization());
  measured.quantize_ns = 4;
  EXPECT_FALSE(CostModel(measured).knows_quantization());
  measured.dequantize_ns = 3;
  EXPECT_TRUE(CostModel(measured).knows_quantization());
  EXPECT_DOUBLE_EQ(CostModel(measured).quantize_us(1000), 2 + 4);
  EXPECT_DOUBLE_EQ(CostModel(measured).dequantize_us(1000), 2 + 3);
}

TEST(DecisionTest, SaysThePredictedTimesBehindTheReason) {
  Decision decision{.pass = "dual_stream", .choice = "serial", .reason = "asked for"};
  EXPECT_EQ(decision.why(), "asked for");
  decision.alternatives = {{"serial", 120}, {"two lanes", 95.46}};
  EXPECT_EQ(decision.why(), "asked for; predicted: serial 120.0 µs, two lanes 95.5 µs");
}

}  // namespace
}  // namespace braid::cost
