#include "layers/dispatch_kind.h"

#include <gtest/gtest.h>

namespace braid::layers {
namespace {

using ops::DispatchKind;

DispatchFacts facts(int32_t dp, int64_t top_k) {
  return {.attention = {dp, 1}, .moe = {dp, 1}, .top_k = top_k, .group = 100, .row_bytes = 4096};
}

std::string decision(const DispatchFacts& of, DispatchChoice choice = DispatchChoice::automatic) {
  cost::Decisions why;
  const DispatchKind kind = choose_dispatch(of, choice, cost::cpu_profile(), why);
  EXPECT_EQ(why.size(), 1u);
  EXPECT_EQ(kind == DispatchKind::all_to_all, why[0].choice == "all-to-all");
  return why[0].choice + ": " + why[0].reason;
}

TEST(DispatchKindTest, AutoTakesWhatMovesFewerBytes) {
  // 7 · 100 rows of 2 · 4096 + 2 · 8 bytes, or 2 eighths of them.
  EXPECT_EQ(decision(facts(8, 2)),
            "all-to-all: auto: a row goes to 2 of 8 ranks at most: 1436.4 kB into each a layer, "
            "5745.6 kB with a gather");
  EXPECT_EQ(decision(facts(8, 8)).substr(0, 6), "gather");
  EXPECT_EQ(decision(facts(8, 7)).substr(0, 10), "all-to-all");
  EXPECT_EQ(decision(facts(4, 6)),
            "gather: auto: a row goes to 4 of 4 ranks at most: 2472.0 kB into each a layer, 2472.0 "
            "kB with a gather");
}

// 3 GB/s and 20 µs a collective; two layers, both ways.
TEST(DispatchKindTest, BothWaysAreAskedOfTheCostModel) {
  DispatchFacts two_layers = facts(8, 2);
  two_layers.moe_layers = 2;
  cost::Decisions why;
  choose_dispatch(two_layers, DispatchChoice::automatic, cost::cpu_profile(), why);
  choose_dispatch(facts(1, 2), DispatchChoice::automatic, cost::cpu_profile(), why);
  ASSERT_EQ(why[0].alternatives.size(), 2u);
  EXPECT_EQ(why[0].alternatives[0].choice, "gather");
  EXPECT_DOUBLE_EQ(why[0].alternatives[0].us, 2 * (2 * 20 + 5745.6 / 3));
  EXPECT_EQ(why[0].alternatives[1].choice, "all-to-all");
  EXPECT_DOUBLE_EQ(why[0].alternatives[1].us, 2 * (2 * 20 + 1436.4 / 3));
  EXPECT_TRUE(why[1].alternatives.empty());  // there is nothing to choose
}

TEST(DispatchKindTest, AutoGathersAmongFewRanks) {
  EXPECT_EQ(decision(facts(2, 1)).substr(0, 21), "gather: auto: 2 ranks");
  EXPECT_EQ(decision(facts(3, 2)).substr(0, 21), "gather: auto: 3 ranks");
  EXPECT_EQ(decision(facts(4, 2)).substr(0, 10), "all-to-all");
}

TEST(DispatchKindTest, WhatIsAskedForIsTaken) {
  EXPECT_EQ(decision(facts(8, 2), DispatchChoice::gather), "gather: asked for");
  EXPECT_EQ(decision(facts(2, 8), DispatchChoice::all_to_all).substr(0, 22),
            "all-to-all: asked for;");
}

TEST(DispatchKindTest, CopiesAndSharedWidthsAreGathered) {
  DispatchFacts copies = facts(4, 2);
  copies.attention = {2, 2};
  EXPECT_EQ(decision(copies),
            "gather: auto: ranks along tp have copies of the same rows (tp is 2, not 1)");
  DispatchFacts widths = facts(4, 2);
  widths.moe = {2, 2};
  EXPECT_EQ(decision(widths),
            "gather: auto: ranks share experts by their width (moe_tp is 2, not 1)");
  for (const DispatchFacts& of : {copies, widths, facts(1, 2), facts(4, 0)}) {
    const Status refused = check_dispatch(of, DispatchChoice::all_to_all);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().kind(), ErrorKind::usage);
    EXPECT_TRUE(check_dispatch(of, DispatchChoice::automatic).ok());
  }
  EXPECT_NE(check_dispatch(widths, DispatchChoice::all_to_all).to_string().find("moe_tp is 2"),
            std::string::npos);
  EXPECT_TRUE(check_dispatch(facts(2, 2), DispatchChoice::all_to_all).ok());
}

TEST(DispatchKindTest, WhereAnExpertIsAnywhereRowsAreGathered) {
  DispatchFacts placed = facts(8, 2);
  placed.placed = true;
  EXPECT_EQ(decision(placed),
            "gather: auto: a table says which slots an expert has, not its number");
  EXPECT_FALSE(check_dispatch(placed, DispatchChoice::all_to_all).ok());
}

TEST(DispatchKindTest, NothingIsDispatchedOnOneRankOrWithoutExperts) {
  EXPECT_EQ(decision(facts(1, 2)), "none: no rows are dispatched (dp 1, or no experts)");
  EXPECT_EQ(decision(facts(4, 0)), "none: no rows are dispatched (dp 1, or no experts)");
}

TEST(DispatchKindTest, ParsesItsOption) {
  EXPECT_EQ(parse_dispatch("--dispatch", "all-to-all").value(), DispatchChoice::all_to_all);
  EXPECT_EQ(parse_dispatch("--dispatch", "auto").value(), DispatchChoice::automatic);
  EXPECT_FALSE(parse_dispatch("--dispatch", "alltoall").ok());
}

}  // namespace
}  // namespace braid::layers
