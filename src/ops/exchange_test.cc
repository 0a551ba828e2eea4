// Rows sent to the ranks of their experts and back: placements, capacities, and what is refused.
#include "ops/exchange.h"

#include <gtest/gtest.h>

#include "ops/moe.h"
#include "ops/rows.h"

namespace braid::ops {
namespace {

constexpr Placement kOwn = {.axes = {Shard::row_sharded, Shard::replicated}};

MeshSizes three_ranks() {
  return {.attention = {3, 1}, .moe = {3, 1}, .attention_sums = {0, -1, -1}};
}

class ExchangeTest : public ::testing::Test {
 protected:
  explicit ExchangeTest(const MeshSizes& meshes = three_ranks()) : b_(residents_, meshes) {
    ranks_ = {.counts = b_.step("counts", Format::i32, meshes.attention[0], 1),
              .own = 6,
              .group = 10,
              .kind = DispatchKind::all_to_all};
  }

  Dispatched sent(Placement placement = kOwn) {
    const Routing routing = {b_.step("ids", Format::i32, 6, 2, placement),
                             b_.step("weights", Format::f32, 6, 2, placement)};
    return dispatch(b_, b_.step("x", Format::bf16, 6, 8, placement), routing, ranks_, {.count = 4});
  }
  // Whole experts' outputs, combined and brought back.
  Value merged(const Dispatched& in) {
    const Permuted permuted = permute(b_, in, {.count = 4});
    Grouped grouped = permuted.grouped;
    grouped.rows = b_.step("expert_out", Format::bf16, 60, 8, b_.placement(grouped.offsets));
    return combine(b_, grouped, permuted);
  }
  void expect_refused(std::string_view rule) {
    const auto program = std::move(b_).finish();
    ASSERT_FALSE(program.ok());
    EXPECT_NE(program.error().to_string().find(rule), std::string::npos)
        << program.error().to_string();
  }

  flow::Residents residents_;
  Builder b_;
  RankRows ranks_;
};

TEST_F(ExchangeTest, EachRankGetsRowsOfItsOwn) {
  const Dispatched in = sent();
  EXPECT_EQ(b_.num_rows(in.rows), 3 * 10);  // all that there are may need its experts
  EXPECT_EQ(b_.placement(in.rows),
            (Placement{flow::Mesh::moe, {Shard::row_sharded, Shard::replicated}}));
  EXPECT_EQ(in.way_back.sends, 6 * 2);
  EXPECT_EQ(b_.num_cols(in.way_back.places), 3);
  const flow::Program program = std::move(b_).finish().value();
  ASSERT_EQ(program.ops.size(), 2u);
  EXPECT_EQ(program.ops[0].kind().name, "rank_order");
  EXPECT_EQ(program.ops[1].kind().name, "all_to_all_v");
  EXPECT_EQ(program.ops[1].lane, flow::Lane::comm);
}

TEST_F(ExchangeTest, SumsAreWholeWhereTheRowsCameFrom) {
  const Value out = merged(sent());
  EXPECT_EQ(b_.placement(out), kOwn);
  EXPECT_EQ(b_.num_rows(out), 6);
  const Value total =
      sum_to(b_, {out, b_.step("shared", Format::bf16, 6, 8, kOwn)}, kOwn, "sum", ranks_);
  EXPECT_EQ(b_.placement(total), kOwn);
  const flow::Program program = std::move(b_).finish().value();
  std::string kinds;
  for (const flow::Op& op : program.ops) kinds += std::string(op.kind().name) + " ";
  EXPECT_EQ(kinds, "rank_order all_to_all_v permute combine return_rows merge_ranks add ");
  EXPECT_TRUE(program.ops[5].kind().row_wise());
}

TEST_F(ExchangeTest, WhatIsNotReturnedIsNoSum) {
  const Dispatched in = sent();
  sum_to(b_, {in.rows}, kOwn, "sum", ranks_);
  expect_refused("can be reduced to the sum's placement");
}

TEST_F(ExchangeTest, OnlyReceivedRowsAreReturned) {
  const Dispatched in = sent();
  return_rows(b_, b_.step("y", Format::bf16, 30, 8, {.mesh = flow::Mesh::moe}), in.way_back, "sum");
  expect_refused("what was received is returned");
}

TEST_F(ExchangeTest, APartialIsNotSent) {
  sent({.axes = {Shard::partial, Shard::replicated}});
  expect_refused("no collective moves these rows");
}

TEST_F(ExchangeTest, FewerRowsThanIdsAreRefused) {
  const Value x = b_.step("x", Format::bf16, 5, 8, kOwn);
  dispatch(b_, x, {b_.step("ids", Format::i32, 6, 2, kOwn), b_.step("w", Format::f32, 6, 2, kOwn)},
           ranks_, {.count = 4});
  expect_refused("all rows of a rank are looked at");
}

class ExchangeTpTest : public ExchangeTest {
 protected:
  ExchangeTpTest()
      : ExchangeTest({.attention = {2, 2}, .moe = {4, 1}, .attention_sums = {0, 1, -1}}) {}
};
TEST_F(ExchangeTpTest, CopiesOfRowsAreNotSent) {
  sent();
  expect_refused("each rank has rows and experts of its own");
}

class ExchangeWidthTest : public ExchangeTest {
 protected:
  ExchangeWidthTest()
      : ExchangeTest({.attention = {4, 1}, .moe = {2, 2}, .attention_sums = {0, -1, -1}}) {}
};
TEST_F(ExchangeWidthTest, SharedExpertsAreNotSentTo) {
  sent();
  expect_refused("each rank has rows and experts of its own");
}

// What all ranks must agree on, whatever each of them has for itself.
std::vector<uint64_t> signatures(int64_t own, int64_t group, Format format, DispatchKind kind) {
  flow::Residents residents;
  Builder b(residents, three_ranks());
  const RankRows ranks = {
      .counts = b.step("counts", Format::i32, 3, 1), .own = own, .group = group, .kind = kind};
  const Routing routing = {b.step("ids", Format::i32, own, 2, kOwn),
                           b.step("weights", Format::f32, own, 2, kOwn)};
  const Dispatched in =
      dispatch(b, b.step("x", format, own, 8, kOwn), routing, ranks, {.count = 4});
  if (in.way_back.received.present()) {
    return_rows(b, b.placed(in.rows, b.placement(in.way_back.received)), in.way_back, "sum");
  }
  const flow::Program program = std::move(b).finish().value();
  std::vector<uint64_t> found;
  for (const flow::Op& op : program.ops) {
    if (const auto collective = program.collective_of(op)) found.push_back(collective->signature);
  }
  return found;
}

TEST(ExchangeSignatureTest, DependsOnTheGroupAlone) {
  const auto sent = DispatchKind::all_to_all;
  const auto both = signatures(4, 10, Format::bf16, sent);
  ASSERT_EQ(both.size(), 2u);
  EXPECT_NE(both[0], both[1]);
  EXPECT_EQ(signatures(0, 10, Format::bf16, sent), both);
  for (const auto& other :
       {signatures(4, 12, Format::bf16, sent), signatures(4, 10, Format::f32, sent)}) {
    EXPECT_NE(other[0], both[0]);
    EXPECT_NE(other[1], both[1]);
  }
  EXPECT_NE(signatures(4, 10, Format::bf16, DispatchKind::gather)[0], both[0]);
}

}  // namespace
}  // namespace braid::ops
