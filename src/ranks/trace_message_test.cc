#include "ranks/trace_message.h"

#include <gtest/gtest.h>

#include "comm/control/message.h"
#include "ranks/serialization.h"

namespace braid::ranks {
namespace {

using flow::Lane;

TraceMessage two_steps() {
  return {.steps = {{3, {.shape = {{1, 2}, {3, 4}}, .ops = 2}},
                    {int64_t{1} << 40, {.shape = {{5, 6}, {7, 8}}, .ops = 9}}},
          .events = {{3, 1, Lane::comm, 1'000, 2'000}, {int64_t{1} << 40, 8, Lane::copy, -5, 7}}};
}

TEST(TraceMessageTest, ComesBackAsItWas) {
  const TraceMessage message = two_steps();
  const TraceMessage back = TraceMessage::from_bytes(message.to_bytes()).value();
  EXPECT_EQ(back.steps, message.steps);
  ASSERT_EQ(back.events.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(back.events[i].step, message.events[i].step);
    EXPECT_EQ(back.events[i].op, message.events[i].op);
    EXPECT_EQ(back.events[i].lane, message.events[i].lane);
    EXPECT_EQ(back.events[i].start_ns, message.events[i].start_ns);
    EXPECT_EQ(back.events[i].end_ns, message.events[i].end_ns);
  }
  EXPECT_TRUE(TraceMessage::from_bytes(TraceMessage{}.to_bytes())->events.empty());
}

TEST(TraceMessageTest, NonsenseIsRefused) {
  const std::string bytes = two_steps().to_bytes();
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(TraceMessage::from_bytes(bytes.substr(0, size)).ok()) << size;
  }
  const auto refused = [](const flow::TimelineEvent& event) {
    TraceMessage message = two_steps();
    message.events[0] = event;
    return !TraceMessage::from_bytes(message.to_bytes()).ok();
  };
  EXPECT_TRUE(refused({4, 1, Lane::comm, 1, 2}));            // of no step
  EXPECT_TRUE(refused({3, 2, Lane::comm, 1, 2}));            // the step has two ops
  EXPECT_TRUE(refused({3, -1, Lane::comm, 1, 2}));           // likewise
  EXPECT_TRUE(refused({3, 1, static_cast<Lane>(4), 1, 2}));  // there are four lanes
  EXPECT_FALSE(refused({3, 0, Lane::compute, 1, 2}));
  const std::vector<int64_t> five(5);  // a step has six numbers
  EXPECT_FALSE(TraceMessage::from_bytes(comm::pack({bytes_of_values<int64_t>(five), ""})).ok());
  EXPECT_FALSE(TraceMessage::from_bytes(comm::pack({""})).ok());
}

}  // namespace
}  // namespace braid::ranks
