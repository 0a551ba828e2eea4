#include "ranks/rank_query.h"

#include <gtest/gtest.h>

#include "ranks/serialization.h"

namespace braid::ranks {
namespace {

std::vector<RankQuery> some_queries() {
  const std::vector<int32_t> targets = {3, 1, 4};
  return {RankQuery::read({.resident = 7, .first = 2, .count = 5, .copy = 1}),
          RankQuery::write({.resident = 7, .first = 2, .count = 1}, "bytes"),
          RankQuery::score(targets),
          RankQuery::execution(true, {.seed = 0xfedcba9876543210u, .longest = 9}),
          RankQuery::trace(true),
          {.kind = RankQuery::Kind::take_trace},
          {.kind = RankQuery::Kind::clock},
          {.kind = RankQuery::Kind::clear_state},
          RankQuery::keep_state(int64_t{1} << 40),
          RankQuery::compare_state(3)};
}

TEST(RankQueryTest, ComesBackAsItWas) {
  std::set<RankQuery::Kind> kinds;
  for (const RankQuery& query : some_queries()) {
    const RankQuery back = RankQuery::from_bytes(query.to_bytes()).value();
    EXPECT_EQ(back.kind, query.kind);
    EXPECT_EQ(back.numbers, query.numbers);
    EXPECT_EQ(back.bytes, query.bytes);
    kinds.insert(back.kind);
  }
  EXPECT_EQ(std::ssize(kinds), RankQuery::kKinds);
  const ResidentRows rows = RankQuery::from_bytes(some_queries()[0].to_bytes())->rows();
  EXPECT_EQ(rows.resident, 7);
  EXPECT_EQ(rows.first, 2);
  EXPECT_EQ(rows.count, 5);
  EXPECT_EQ(rows.copy, 1);
}

TEST(RankQueryTest, NonsenseIsRefused) {
  const std::string bytes = RankQuery::trace(true).to_bytes();
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(RankQuery::from_bytes(bytes.substr(0, size)).ok()) << size;
  }
  for (const char kind : {'\x0a', '\x7f', '\xff'}) {
    std::string wild = bytes;
    wild[0] = kind;
    EXPECT_FALSE(RankQuery::from_bytes(wild).ok());
  }
  EXPECT_FALSE(values_of_bytes<int64_t>("seven b").ok());
  EXPECT_TRUE(values_of_bytes<int64_t>("")->empty());
}

}  // namespace
}  // namespace braid::ranks
