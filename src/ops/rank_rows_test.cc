// Rows that differ along dp: who gathers them, how their sums come back, once, and what is refused.
#include "ops/rank_rows.h"

#include <gtest/gtest.h>

#include <cstring>
#include <thread>

#include "comm/local/local_group.h"
#include "flow/compile.h"
#include "flow/executor.h"
#include "ops/collectives.h"
#include "ops/moe.h"
#include "ops/register_collectives_cpu.h"
#include "ops/rows.h"

namespace braid::ops {
namespace {

using flow::Mesh;

constexpr Placement kOwn = {.axes = {Shard::row_sharded, Shard::replicated}};
constexpr Placement kOwnPartialTp = {.axes = {Shard::row_sharded, Shard::partial}};
constexpr Placement kAll = {.mesh = Mesh::moe};
constexpr Placement kPartialExperts = {.mesh = Mesh::moe, .axes = {Shard::partial, Shard::partial}};

// 2 groups of 2 ranks; communicator 0 along dp, 1 along tp. Experts over all four.
MeshSizes two_by_two() {
  return {.attention = {2, 2}, .moe = {4, 1}, .attention_sums = {0, 1, -1}};
}
// 3 groups of one rank each.
MeshSizes three_groups() {
  return {.attention = {3, 1}, .moe = {3, 1}, .attention_sums = {0, -1, -1}};
}

class RankRowsTest : public ::testing::Test {
 protected:
  explicit RankRowsTest(const MeshSizes& meshes = two_by_two()) : b_(residents_, meshes) {
    ranks_ = {
        .counts = b_.step("counts", Format::i32, meshes.attention[0], 1), .own = 6, .group = 10};
  }

  Value step(Placement placement, int64_t rows = 6, Format format = Format::bf16) {
    return b_.step("x", format, rows, 8, placement);
  }
  Routing routing(Placement placement = kOwn, int64_t rows = 6) {
    return {b_.step("ids", Format::i32, rows, 2, placement),
            b_.step("weights", Format::f32, rows, 2, placement)};
  }
  // Kinds of the finished Program's ops, in order; or the error.
  std::string ops() {
    const auto program = std::move(b_).finish();
    if (!program.ok()) return program.error().to_string();
    std::string text;
    for (const flow::Op& op : program->ops) text += std::string(op.kind().name) + " ";
    return text;
  }
  void expect_refused(std::string_view rule) {
    const std::string text = ops();
    EXPECT_NE(text.find(rule), std::string::npos) << text;
  }

  flow::Residents residents_;
  Builder b_;
  RankRows ranks_;
};

TEST_F(RankRowsTest, RowsAreGatheredAlongDpAlone) {
  const Dispatched in = dispatch(b_, step(kOwn), routing(), ranks_);
  EXPECT_EQ(b_.num_rows(in.rows), 2 * 10);  // not 4 · 10: the ranks along tp have copies
  EXPECT_EQ(b_.num_rows(in.routing.ids), 20);
  EXPECT_EQ(b_.num_cols(in.routing.weights), 2);
  EXPECT_EQ(b_.format(in.rows), Format::bf16);
  EXPECT_EQ(b_.placement(in.rows), kAll);
  EXPECT_EQ(b_.placement(in.routing.ids), kAll);
  const flow::Program program = std::move(b_).finish().value();
  ASSERT_EQ(program.ops.size(), 1u);
  EXPECT_EQ(program.ops[0].lane, flow::Lane::comm);
  EXPECT_FALSE(program.ops[0].kind().row_wise());
  EXPECT_EQ(program.ops[0].desc.as<AllGatherVDesc>().communicator, 0);
  EXPECT_EQ(program.ops[0].desc.as<AllGatherVDesc>().ranks, 2);
}

TEST_F(RankRowsTest, SumsComeBackAlongDpAndThenAlongTp) {
  const Value sum = sum_to(b_, {step(kPartialExperts, 20)}, kOwn, "sum", ranks_);
  EXPECT_EQ(b_.num_rows(sum), 6);
  EXPECT_EQ(b_.placement(sum), kOwn);
  EXPECT_EQ(ops(), "reduce_scatter_v all_reduce ");
}

TEST_F(RankRowsTest, TheSharedExpertsJoinTheSumAlongTp) {
  sum_to(b_, {step(kPartialExperts, 20), step(kOwnPartialTp)}, kOwn, "sum", ranks_);
  const flow::Program program = std::move(b_).finish().value();
  ASSERT_EQ(program.ops.size(), 3u);
  EXPECT_EQ(program.ops[0].kind().name, "reduce_scatter_v");
  EXPECT_EQ(program.ops[1].kind().name, "add");
  EXPECT_EQ(program.ops[2].desc.as<AllReduceDesc>().communicator, 1);
  EXPECT_EQ(program.ops[2].desc.as<AllReduceDesc>().ranks, 2);
}

TEST_F(RankRowsTest, AWholeTermIsAddedBehindAllReductions) {
  sum_to(b_, {step(kPartialExperts, 20), step(kOwn)}, kOwn, "sum", ranks_);
  EXPECT_EQ(ops(), "reduce_scatter_v all_reduce add ");
}

TEST_F(RankRowsTest, RowsOfAllRanksAreNoTermOfOneRanksSum) {
  sum_to(b_, {step(kAll)}, kOwn, "sum", ranks_);
  expect_refused("can be reduced to the sum's placement");
}

TEST_F(RankRowsTest, OwnRowsAreNoRowsOfAllRanks) {
  sum_to(b_, {step(kOwn)}, {}, "sum", ranks_);
  expect_refused("can be reduced to the sum's placement");
}

TEST_F(RankRowsTest, AllRowsAreNotReducedInPlace) {
  sum_to(b_, {step(kPartialExperts, 20)}, kAll, "sum", ranks_);
  expect_refused("a communicator sums over these axes");
}

TEST_F(RankRowsTest, ASecondScatterIsRefused) {
  const Value sum = reduce_scatter_v(b_, step(kPartialExperts, 20), ranks_, "sum");
  EXPECT_EQ(b_.placement(sum), kOwnPartialTp);
  reduce_scatter_v(b_, sum, ranks_, "again");
  expect_refused("only what all ranks have a part of is scattered");
}

TEST_F(RankRowsTest, APartialIsNotGathered) {
  dispatch(b_, step(kOwnPartialTp), routing(), ranks_);
  expect_refused("whole rows, different ones along dp, are gathered");
}

TEST_F(RankRowsTest, RoutingOfOtherRowsIsRefused) {
  dispatch(b_, step(kOwn), routing({}), ranks_);
  expect_refused("whole rows, different ones along dp, are gathered");
}

TEST_F(RankRowsTest, FewerIdsThanRowsAreRefused) {
  dispatch(b_, step(kOwn), routing(kOwn, 5), ranks_);
  expect_refused("all rows of a rank are gathered");
}

TEST_F(RankRowsTest, UnknownCountsAreRefused) {
  dispatch(b_, step(kOwn), routing());
  expect_refused("the rows of all ranks along dp are known");
}

TEST_F(RankRowsTest, MoreRowsThanTheLargestRankAreRefused) {
  ranks_.group = 5;
  dispatch(b_, step(kOwn), routing(), ranks_);
  expect_refused("no rank has more rows than the largest");
}

TEST_F(RankRowsTest, ScatteringSomeRanksRowsIsRefused) {
  reduce_scatter_v(b_, step(kPartialExperts, 10), ranks_, "sum");
  expect_refused("the rows of all ranks are scattered");
}

class ThreeGroupsTest : public RankRowsTest {
 protected:
  ThreeGroupsTest() : RankRowsTest(three_groups()) {}
};

TEST_F(ThreeGroupsTest, WithoutTpNothingIsLeftToReduce) {
  sum_to(b_, {step(kPartialExperts, 30), step(kOwnPartialTp)}, kOwn, "sum", ranks_);
  EXPECT_EQ(ops(), "reduce_scatter_v add ");
}

// What all ranks must agree on, whatever each of them has for itself.
uint64_t signature_of_gather(int64_t own, int64_t group, Format format, int32_t ranks = 3) {
  const flow::Type counts{Format::i32, 3, 1}, ids{Format::i32, own, 2},
      weights{Format::f32, own, 2}, none;
  const std::array<flow::Type, 9> types = {counts,
                                           flow::Type{format, own, 8},
                                           none,
                                           ids,
                                           weights,
                                           flow::Type{format, 3 * group, 8},
                                           none,
                                           flow::Type{Format::i32, 3 * group, 2},
                                           flow::Type{Format::f32, 3 * group, 2}};
  const AllGatherVDesc desc{.communicator = 0, .ranks = ranks};
  return flow::kind_of<AllGatherVDesc>().collective(&desc, types)->signature;
}

uint64_t signature_of_scatter(int64_t own, int64_t group, Format format) {
  const std::array<flow::Type, 3> types = {
      flow::Type{Format::i32, 3, 1}, flow::Type{format, 3 * group, 8}, flow::Type{format, own, 8}};
  const ReduceScatterVDesc desc{.communicator = 0, .ranks = 3};
  return flow::kind_of<ReduceScatterVDesc>().collective(&desc, types)->signature;
}

TEST(RankRowsSignatureTest, DependsOnTheGroupAlone) {
  const uint64_t gather = signature_of_gather(4, 10, Format::bf16);
  EXPECT_EQ(signature_of_gather(0, 10, Format::bf16), gather);
  EXPECT_NE(signature_of_gather(4, 12, Format::bf16), gather);
  EXPECT_NE(signature_of_gather(4, 10, Format::f32), gather);
  EXPECT_NE(signature_of_gather(4, 10, Format::bf16, 2), gather);
  const uint64_t scatter = signature_of_scatter(4, 10, Format::bf16);
  EXPECT_EQ(signature_of_scatter(0, 10, Format::bf16), scatter);
  EXPECT_NE(signature_of_scatter(4, 12, Format::bf16), scatter);
  EXPECT_NE(signature_of_scatter(4, 10, Format::f32), scatter);
}

TEST(RankRowsWorkTest, CountsWhatARingSends) {
  const std::array<flow::Type, 3> types = {flow::Type{Format::i32, 4, 1},
                                           flow::Type{Format::bf16, 40, 8},
                                           flow::Type{Format::bf16, 10, 8}};
  const ReduceScatterVDesc desc{.ranks = 4};
  const flow::Work work = flow::kind_of<ReduceScatterVDesc>().work(&desc, types);
  EXPECT_DOUBLE_EQ(work.link_bytes, 0.75 * 40 * 8 * 2);
  EXPECT_DOUBLE_EQ(work.flop, 0.75 * 40 * 8);
}

// One of three ranks on the CPU: x [own, 2] goes to all ranks and comes back, summed.
class Rank {
 public:
  Rank(comm::LocalGroup& group, int32_t rank, int64_t own) : communicator_(&group.member(rank)) {
    register_collectives_cpu(table_, {&communicator_, 1});
    Builder b(residents_, three_groups());
    const RankRows ranks{.counts = resident(b, counts, {}, 1), .own = own, .group = kGroup};
    x.resize(static_cast<size_t>(own * 2), static_cast<float>(rank + 1));
    ids.resize(static_cast<size_t>(own), rank);
    weights.resize(static_cast<size_t>(own), 0.5f);
    y.resize(x.size(), 99.0f);
    const Routing routing{resident(b, ids, kOwn, 1), resident(b, weights, kOwn, 1)};
    const Dispatched in = dispatch(b, resident(b, x, kOwn, 2), routing, ranks);
    copy(b, in.rows, resident(b, all_x, kAll, 2));
    copy(b, in.routing.ids, resident(b, all_ids, kAll, 1));
    const Value parts = b.placed(in.rows, kPartialExperts);
    copy(b, sum_to(b, {parts}, kOwn, "sum", ranks), resident(b, y, kOwn, 2));
    schedule_ = flow::compile(std::move(b).finish().value()).value();
    table_.add<kernels::CopyDesc>(
        {.launch = [](const kernels::CopyDesc&, flow::Args args, flow::Workspace) {
          const flow::Arg &from = args[CopyOperand::in], &to = args[CopyOperand::out];
          for (int64_t row = 0; row < from.rows; ++row) {
            std::memcpy(to.row<std::byte>(row), from.row<std::byte>(row),
                        static_cast<size_t>(from.cols) * 4);
          }
        }});
  }

  Status run() {
    std::vector<std::byte> workspace(static_cast<size_t>(schedule_.workspace_bytes));
    const auto bound = flow::bind(schedule_, table_, residents_, workspace.data());
    if (!bound.ok()) return bound.status();
    flow::run_serial(*bound, 0);
    return communicator_->status();
  }

  static constexpr int64_t kGroup = 4;
  std::vector<int32_t> counts = {2, 0, 1};
  std::vector<float> x, weights, y;
  std::vector<int32_t> ids;
  std::vector<float> all_x = std::vector<float>(3 * kGroup * 2);
  std::vector<int32_t> all_ids = std::vector<int32_t>(3 * kGroup, 55);

 private:
  template <typename T>
  Value resident(Builder& b, std::vector<T>& values, Placement placement, int64_t cols) {
    const bool ids = std::is_same_v<T, int32_t>;
    const int32_t index = residents_.declare({.name = "values",
                                              .format = ids ? Format::i32 : Format::f32,
                                              .rows = std::ssize(values) / cols,
                                              .cols = cols,
                                              .lifetime = flow::Lifetime::carried});
    residents_.set_data(index, 0, reinterpret_cast<std::byte*>(values.data()));
    return b.resident(index, placement);
  }

  comm::Communicator* communicator_;
  flow::LauncherTable table_;
  flow::Residents residents_;
  flow::Schedule schedule_;
};

TEST(RankRowsCpuTest, IdleRanksTakePartAndPadsHaveNoExpert) {
  comm::LocalGroup group({0, 1, 2}, std::chrono::seconds(20));
  std::array<Rank, 3> ranks = {Rank(group, 0, 3), Rank(group, 1, 1), Rank(group, 2, 1)};
  std::vector<std::thread> threads;
  for (Rank& rank : ranks) threads.emplace_back([&] { EXPECT_TRUE(rank.run().ok()); });
  for (std::thread& thread : threads) thread.join();
  for (const Rank& rank : ranks) {
    EXPECT_EQ(std::vector<float>(rank.all_x.begin(), rank.all_x.begin() + 6),
              (std::vector<float>{1, 1, 1, 1, 3, 3}));
    EXPECT_EQ(rank.all_ids, (std::vector<int32_t>{0, 0, 2, -1, -1, -1, -1, -1, -1, -1, -1, -1}));
  }
  EXPECT_EQ(ranks[0].y, (std::vector<float>{3, 3, 3, 3, 0, 0}));  // a row of padding
  EXPECT_EQ(ranks[1].y, (std::vector<float>{0, 0}));
  EXPECT_EQ(ranks[2].y, (std::vector<float>{9, 9}));
}

TEST(RankRowsCpuTest, WrongCountsLeaveNoRowsAndTheReason) {
  comm::LocalGroup group({0, 1, 2}, std::chrono::milliseconds(20));
  Rank rank(group, 0, 3);
  rank.counts = {4, 0, 1};  // of 3 rows
  const Status status = rank.run();
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.to_string().find("rows = gather [4 + 0 + 1, 2] f32"), std::string::npos)
      << status.to_string();
  EXPECT_EQ(rank.all_ids, std::vector<int32_t>(12, -1));
  EXPECT_EQ(rank.y, std::vector<float>(6, 0.0f));
}

}  // namespace
}  // namespace braid::ops
