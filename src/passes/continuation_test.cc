// chunk_collectives continued behind its reductions: which ops are cut, on which rows of which
// rank, and that ranks on threads get the bits of the uncut Program.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <thread>

#include "comm/local/local_group.h"
#include "flow/check/check.h"
#include "flow/compile.h"
#include "flow/executor.h"
#include "ops/collectives.h"
#include "ops/gemm.h"
#include "ops/norm.h"
#include "ops/register_collectives_cpu.h"
#include "ops/register_cpu.h"
#include "ops/row_parts.h"
#include "ops/rows.h"
#include "passes/chunk_collectives.h"

namespace braid::passes {
namespace {

using flow::Op;
using flow::Program;
using ops::Placement;
using ops::Shard;
using ops::Value;

constexpr Placement kRows = {.axes = {Shard::replicated, Shard::row_sharded}};
constexpr Placement kColumns = {.axes = {Shard::replicated, Shard::col_sharded}};
constexpr int64_t kWidth = 16;

// A rank of `ranks`: out = x + down(up(norm(x + o(h)))), with sums over the ranks behind o and
// down, and a product of norm(out) behind that.
class Rank {
 public:
  Rank(int64_t rows, int32_t ranks, int32_t index, bool probe = false)
      : rows_(rows), tp_{ranks, index}, probe_(probe) {
    for (const char* name : {"h", "x", "end", "probe"}) {
      declare(name, rows, flow::Lifetime::carried);
    }
    for (const char* name : {"o", "up", "down", "last"}) {
      declare(name, kWidth, flow::Lifetime::weight);
    }
    for (const char* name : {"norm", "norm2"}) declare(name, 1, flow::Lifetime::weight);
  }

  Program build() {
    ops::Builder b(
        residents_,
        {.attention = {1, tp_.ranks}, .moe = {1, tp_.ranks}, .attention_sums = {-1, 0, -1}});
    const auto linear = [&](const char* name, const Placement& placement) {
      return ops::Linear{.weight = b.resident(index_of(name), placement)};
    };
    const Value x = b.resident(index_of("x"));
    const Value o =
        ops::gemm(b, b.resident(index_of("h"), kColumns), linear("o", kColumns), Format::f32, "o");
    const Value middle = ops::add(b, x, ops::sum_to(b, {o}, {}, "o_sum"), "middle");
    const Value normed = ops::rms_norm(b, middle, b.resident(index_of("norm")), 1e-5f, "normed");
    const Value up = ops::gemm(b, normed, linear("up", kRows), Format::f32, "up");
    const Value down = ops::gemm(b, up, linear("down", kColumns), Format::f32, "down");
    const Value out = ops::add(b, middle, ops::sum_to(b, {down}, {}, "down_sum"), "out");
    if (probe_) ops::copy(b, out, b.resident(index_of("probe")));
    const Value again = ops::rms_norm(b, out, b.resident(index_of("norm2")), 1e-5f, "again");
    const Value last = ops::gemm(b, again, linear("last", kRows), Format::f32, "last");
    ops::copy(b, last, b.resident(index_of("end"), kColumns));
    return std::move(b).finish().value();
  }

  Program cut(int32_t chunks) {
    const PassOptions options;
    const PassContext context{
        .options = options, .residents = residents_, .decisions = why, .tp = tp_};
    return chunk_collectives(build(), {.chunks = chunks, .continued = true}, context).value();
  }

  // Compiles, proves and binds; run() then gives what it left in "end" and "probe".
  void prepare(Program program, comm::LocalGroup& group) {
    communicator_ = &group.member(tp_.rank);
    ops::register_cpu(table_);
    ops::register_collectives_cpu(table_, {&communicator_, 1});
    fill();
    schedule_ = flow::compile(std::move(program), table_.scratch()).value();
    const auto proof = flow::check_schedule(schedule_);
    ASSERT_TRUE(proof.ok()) << proof.status().to_string();
    arena_.assign(static_cast<size_t>(schedule_.workspace_bytes), std::byte{0xff});
  }
  std::vector<float> run() {
    flow::run_serial(flow::bind(schedule_, table_, residents_, arena_.data()).value(), 0);
    EXPECT_TRUE(communicator_->status().ok());
    std::vector<float> result = memory_[static_cast<size_t>(index_of("end"))];
    const auto& probed = memory_[static_cast<size_t>(index_of("probe"))];
    result.insert(result.end(), probed.begin(), probed.end());
    return result;
  }
  const flow::Schedule& schedule() const { return schedule_; }

  Decisions why;

 private:
  void declare(const char* name, int64_t rows, flow::Lifetime lifetime) {
    residents_.declare(
        {.name = name, .format = Format::f32, .rows = rows, .cols = kWidth, .lifetime = lifetime});
  }
  int32_t index_of(std::string_view name) const {
    for (int32_t i = 0; i < residents_.size(); ++i) {
      if (residents_[i].name == name) return i;
    }
    return -1;
  }
  // The residual stream is the same on all ranks, what is split differs.
  void fill() {
    for (int32_t i = 0; i < residents_.size(); ++i) {
      const bool whole = residents_[i].name == "x" || residents_[i].rows == 1;
      const int32_t seed = i * 7 + (whole ? 0 : tp_.rank * 1000);
      std::vector<float> values;
      for (int64_t k = 0; k < residents_[i].rows * kWidth; ++k) {
        values.push_back(std::sin(static_cast<float>(seed + k) * 0.37f));
      }
      memory_.push_back(std::move(values));
    }
    for (int32_t i = 0; i < residents_.size(); ++i) {
      residents_.set_data(i, 0,
                          reinterpret_cast<std::byte*>(memory_[static_cast<size_t>(i)].data()));
    }
  }

  const int64_t rows_;
  const TensorParallel tp_;
  const bool probe_;
  flow::Residents residents_;
  std::vector<std::vector<float>> memory_;
  std::vector<std::byte> arena_;
  comm::Communicator* communicator_ = nullptr;
  flow::LauncherTable table_;
  flow::Schedule schedule_;
};

std::string text_of(const Program& program, int32_t from, int32_t to) {
  std::string text;
  for (int32_t i = from; i < to; ++i) {
    const Op& op = program.ops[static_cast<size_t>(i)];
    const flow::ValueInfo& out = program.info(op.operands[op.operands.size() - 1]);
    text += fmt::format("{}{} {}-{}, ", op.lane == flow::Lane::comm ? "comm:" : "", op.kind().name,
                        out.first_row, out.first_row + out.rows);
  }
  return text;
}

TEST(ContinuationTest, SumsAndNormsAreDoneOnOneRankARow) {
  Rank rank(300, 2, 1);
  const Program program = rank.cut(2);  // 0-256 and 256-300: this rank has the second halves
  EXPECT_EQ(text_of(program, 0, 5),
            "gemm 0-256, comm:reduce_scatter 128-256, comm:add 128-256, comm:rms_norm 128-256, "
            "comm:gather_parts 0-256, ");
  EXPECT_EQ(text_of(program, 5, 10),
            "gemm 256-300, comm:reduce_scatter 278-300, comm:add 278-300, comm:rms_norm 278-300, "
            "comm:gather_parts 256-300, ");
  EXPECT_EQ(text_of(program, 10, 16),  // and on with the first chunk's rows
            "gemm 0-256, gemm 0-256, comm:reduce_scatter 128-256, comm:add 128-256, "
            "comm:rms_norm 128-256, comm:gather_parts 0-256, ");
  EXPECT_EQ(text_of(program, 22, 26), "gemm 0-256, copy 0-256, gemm 256-300, copy 256-300, ");
  EXPECT_EQ(program.ops.size(), 26u);
  EXPECT_EQ(rank.why.back().choice, "2 chunks, continued, sums and norms once a row");
  EXPECT_EQ(rank.why.back().rewrites, 11);  // all ops of the Program
  EXPECT_EQ(program.info(program.ops[2].operands[ops::AddOperand::out]).placement.axes[1],
            Shard::row_sharded);
  EXPECT_EQ(program.info(program.ops[4].operands[ops::GatherPartsOperand::out]).placement,
            Placement{});
}

TEST(ContinuationTest, TheResidualStreamIsGatheredOnlyForWhoReadsIt) {
  const auto gathers = [](const Program& program) {
    return std::count_if(program.ops.begin(), program.ops.end(),
                         [](const Op& op) { return op.desc.is<ops::GatherPartsDesc>(); });
  };
  EXPECT_EQ(gathers(Rank(512, 2, 0).cut(2)), 4);        // two norms, two chunks
  EXPECT_EQ(gathers(Rank(512, 2, 0, true).cut(2)), 6);  // and what the probe reads
}

TEST(ContinuationTest, AFirstChunkNeedsNothingOfTheSecond) {
  comm::LocalGroup group({0, 1}, std::chrono::seconds(20));
  Rank rank(512, 2, 0);
  rank.prepare(rank.cut(2), group);
  const flow::Schedule& schedule = rank.schedule();
  ASSERT_EQ(schedule.program.ops[10].kind().name, "gemm");  // up, first chunk
  EXPECT_EQ(schedule.waits[10].size(), 1u);
  EXPECT_EQ(schedule.waits[10][0], 4);  // the first chunk's all-gather
}

// All ranks' results of Programs that `cut` makes of theirs.
template <typename Cut>
std::vector<std::vector<float>> run_ranks(int64_t rows, int32_t ranks, bool probe, Cut cut) {
  std::vector<int32_t> numbers;
  for (int32_t i = 0; i < ranks; ++i) numbers.push_back(i);
  comm::LocalGroup group(numbers, std::chrono::seconds(20));
  std::vector<std::unique_ptr<Rank>> all;
  for (const int32_t i : numbers) {
    all.push_back(std::make_unique<Rank>(rows, ranks, i, probe));
    all.back()->prepare(cut(*all.back()), group);
  }
  std::vector<const flow::Schedule*> schedules;
  for (const auto& rank : all) schedules.push_back(&rank->schedule());
  const auto joint = flow::check_joint(schedules);
  EXPECT_TRUE(joint.ok()) << joint.status().to_string();
  std::vector<std::vector<float>> results(all.size());
  std::vector<std::thread> threads;
  for (size_t i = 0; i < all.size(); ++i) {
    threads.emplace_back([&, i] { results[i] = all[i]->run(); });
  }
  for (std::thread& thread : threads) thread.join();
  return results;
}

bool equal_bits(const std::vector<std::vector<float>>& a,
                const std::vector<std::vector<float>>& b) {
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::memcmp(a[i].data(), b[i].data(), a[i].size() * sizeof(float)) != 0) return false;
  }
  return a.size() == b.size();
}

TEST(ContinuationTest, RanksGetTheBitsOfTheUncutProgram) {
  // Tails of one row and of a few, which some of the ranks have no part of.
  for (const int64_t rows : {256, 257, 301, 515}) {
    for (const int32_t ranks : {2, 3, 4}) {
      const auto whole = run_ranks(rows, ranks, true, [](Rank& rank) { return rank.build(); });
      for (const int32_t chunks : {2, 5}) {
        const auto cut = run_ranks(rows, ranks, true, [&](Rank& rank) { return rank.cut(chunks); });
        EXPECT_TRUE(equal_bits(cut, whole)) << rows << " rows, " << ranks << " ranks";
      }
    }
  }
}

// The first op of this kind behind `from`.
size_t find_op(const Program& program, std::string_view kind, size_t from = 0) {
  while (program.ops[from].kind().name != kind) ++from;
  return from;
}

TEST(ContinuationMutationTest, AResidualAddedTwiceIsSeen) {
  const auto twice = [](Rank& rank) {
    Program program = rank.cut(2);
    const size_t add = find_op(program, "add");
    Op again = program.ops[add];  // middle += x
    again.operands[ops::AddOperand::b] = again.operands[ops::AddOperand::out];
    program.ops.insert(program.ops.begin() + static_cast<int64_t>(add) + 1, again);
    return program;
  };
  const auto whole = run_ranks(300, 2, false, [](Rank& rank) { return rank.build(); });
  EXPECT_FALSE(equal_bits(run_ranks(300, 2, false, twice), whole));
}

TEST(ContinuationMutationTest, AMissingGatherIsNoValidProgram) {
  Rank rank(512, 2, 0);
  Program program = rank.cut(2);
  program.ops.erase(program.ops.begin() + static_cast<int64_t>(find_op(program, "gather_parts")));
  const auto schedule = flow::compile(std::move(program));
  ASSERT_FALSE(schedule.ok());
  EXPECT_NE(schedule.status().to_string().find("an op reads rows that no earlier op wrote"),
            std::string::npos)
      << schedule.status().to_string();
}

TEST(ContinuationMutationTest, ChunksSwappedOnOneRankAreCaughtJointly) {
  comm::LocalGroup group({0, 1}, std::chrono::seconds(20));
  Rank first(512, 2, 0), second(512, 2, 1);
  first.prepare(first.cut(2), group);
  Program program = second.cut(2);  // two chunks of five ops: the second one first
  std::rotate(program.ops.begin(), program.ops.begin() + 5, program.ops.begin() + 10);
  second.prepare(std::move(program), group);  // alone it is right
  const std::vector<const flow::Schedule*> ranks = {&first.schedule(), &second.schedule()};
  const auto joint = flow::check_joint(ranks);
  ASSERT_FALSE(joint.ok());
  EXPECT_EQ(joint.error().message(), "ranks issue different sequences of collectives");
}

TEST(ContinuationTest, AtOneRankAndUncutNothingChanges) {
  Rank alone(512, 1, 0);
  EXPECT_EQ(alone.cut(4).ops.size(), alone.build().ops.size());
  EXPECT_EQ(alone.why.back().reason, "no reduction in the step");
  Rank few(255, 2, 0);
  EXPECT_EQ(few.cut(4).ops.size(), few.build().ops.size());
  EXPECT_EQ(few.why.back().choice, "off");
}

}  // namespace
}  // namespace braid::passes
