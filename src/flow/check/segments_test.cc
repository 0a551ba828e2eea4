#include "flow/check/segments.h"

#include <gtest/gtest.h>

#include <random>

namespace braid::flow::check {
namespace {

TEST(SegmentMapTest, CutsAtTheEndsOfARange) {
  SegmentMap<int> map;
  for (auto& segment : map.at(10, 20)) segment.state = 1;
  for (auto& segment : map.at(15, 25)) segment.state += 2;
  ASSERT_EQ(map.all().size(), 3u);
  EXPECT_EQ(map.all()[0].last, 15);
  EXPECT_EQ(map.all()[1].state, 3);
  EXPECT_EQ(map.all()[2].state, 2);
  EXPECT_EQ(map.all()[2].last, 25);
}

TEST(SegmentMapTest, EmptyRangesTouchNothing) {
  SegmentMap<int> map;
  EXPECT_TRUE(map.at(5, 5).empty());
  map.set(7, 3, 1);
  EXPECT_TRUE(map.all().empty());
}

TEST(SegmentMapTest, SetMergesWhatItCovers) {
  SegmentMap<int> map;
  for (int i = 0; i < 8; ++i) map.set(i, i + 1, i);
  map.set(2, 6, 9);
  ASSERT_EQ(map.all().size(), 5u);
  EXPECT_EQ(map.all()[2].first, 2);
  EXPECT_EQ(map.all()[2].last, 6);
  EXPECT_EQ(map.all()[2].state, 9);
  EXPECT_EQ(map.all()[3].state, 6);
}

TEST(SegmentMapTest, EqualsAnArrayOfBytes) {
  std::mt19937 random(1);
  SegmentMap<int> map;
  std::array<int, 64> bytes{};
  for (int round = 0; round < 2000; ++round) {
    const auto first = static_cast<int64_t>(random() % 64);
    const auto last = static_cast<int64_t>(random() % 65);
    const bool set = random() % 2 == 0;
    for (int64_t byte = first; byte < last; ++byte) {
      int& state = bytes[static_cast<size_t>(byte)];
      state = set ? round : state + 1;
    }
    if (set) {
      map.set(first, last, round);
    } else {
      for (auto& segment : map.at(first, last)) ++segment.state;
    }
    int64_t reached = 0;
    for (const auto& segment : map.all()) {
      ASSERT_LE(reached, segment.first);
      ASSERT_LT(segment.first, segment.last);
      reached = segment.last;
      for (int64_t byte = segment.first; byte < segment.last; ++byte) {
        ASSERT_EQ(segment.state, bytes[static_cast<size_t>(byte)]) << "round " << round;
      }
    }
  }
}

}  // namespace
}  // namespace braid::flow::check
