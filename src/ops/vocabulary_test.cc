// A vocabulary in parts, run: embedding and head of ranks on threads against those of one rank.
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <thread>

#include "comm/local/local_group.h"
#include "flow/compile.h"
#include "flow/executor.h"
#include "ops/gemm.h"
#include "ops/register_collectives_cpu.h"
#include "ops/register_cpu.h"
#include "ops/rows.h"
#include "ops/sample.h"

namespace braid::ops {
namespace {

constexpr Placement kRows = {.axes = {Shard::replicated, Shard::row_sharded}};
constexpr int64_t kHidden = 24;
constexpr int64_t kTokens = 9;

// A vocabulary's rows, every one of them other numbers; and the ids of a step.
struct Vocabulary {
  explicit Vocabulary(int64_t vocab_size) : size(vocab_size) {
    std::mt19937_64 random(7);
    for (int64_t i = 0; i < size * kHidden; ++i) {
      table.push_back(static_cast<float>(random() >> 40) * 0x1p-23f - 1.0f);
    }
    for (int64_t i = 0; i < kTokens; ++i) {
      ids.push_back(static_cast<int32_t>(i == 0 ? size - 1 : i * 5 % size));
    }
  }
  int64_t size;
  std::vector<float> table;
  std::vector<int32_t> ids;
};

// One rank: ids → rows of the table → logits by the same, tied table → the likeliest id.
class Rank {
 public:
  Rank(const Vocabulary& vocabulary, int32_t rank, int32_t ranks,
       comm::Communicator* communicator) {
    register_cpu(table_);
    if (communicator != nullptr) register_collectives_cpu(table_, {&communicator, 1});
    const int64_t each = (vocabulary.size + ranks - 1) / ranks;
    const int64_t padded = ranks == 1 ? each : (each + 15) / 16 * 16;
    const int64_t first = std::min(rank * each, vocabulary.size);
    const kernels::GatherRowsDesc here{
        .first = static_cast<int32_t>(first),
        .count = static_cast<int32_t>(std::min(each, vocabulary.size - first))};
    std::vector<float> rows(static_cast<size_t>(padded * kHidden));
    std::copy_n(vocabulary.table.begin() + first * kHidden, here.count * kHidden, rows.begin());
    const int32_t table = add("table", Format::f32, padded, kHidden, rows.data());
    const int32_t ids = add("ids", Format::i32, kTokens, 1, vocabulary.ids.data());
    std::vector<int32_t> order;
    for (int32_t i = kTokens; i > 0; --i) order.push_back(i - 1);
    const int32_t backwards = add("backwards", Format::i32, kTokens, 1, order.data());
    const std::vector<int32_t> live = {kTokens - 2};
    const int32_t count = add("count", Format::i32, 1, 1, live.data());
    const int32_t zeros = add("zeros", Format::i32, 2 * kTokens, 1, nullptr);
    embedded_ = add("embedded", Format::f32, kTokens, kHidden, nullptr);
    logits_ = add("logits", Format::f32, kTokens, vocabulary.size, nullptr);
    sampled_ = add("sampled", Format::i32, kTokens, 1, nullptr);

    Builder b(residents_, {.attention = {1, ranks},
                           .moe = {1, ranks},
                           .attention_sums = {-1, 0, -1},
                           .moe_sums = {-1, -1, 0}});
    const Value x =
        sum_to(b, {look_up(b, b.resident(table, kRows), b.resident(ids), here, "own")}, {}, "x");
    copy(b, x, b.resident(embedded_));
    const Value last = gather_rows(b, x, b.resident(backwards), "last", b.resident(count));
    const Value own = gemm(b, last, {.weight = b.resident(table, kRows)}, Format::f32, "own");
    const Value all = gather_columns(b, own, vocabulary.size, "all");
    copy(b, all, b.resident(logits_));
    const auto how = [&](Format format) {
      return b.words(b.resident(zeros), 0, format, kTokens, 1);  // temperature 0
    };
    sample(b, all,
           {how(Format::f32), how(Format::f32), how(Format::i32), how(Format::u64),
            how(Format::i32), how(Format::f32)},
           b.resident(sampled_));
    schedule_ = flow::compile(std::move(b).finish().value(), table_.scratch()).value();
    workspace_.resize(static_cast<size_t>(schedule_.workspace_bytes) + (1 << 16));
  }

  void run() {
    const auto bound = flow::bind(schedule_, table_, residents_, workspace_.data());
    ASSERT_TRUE(bound.ok()) << bound.status().to_string();
    flow::run_serial(*bound, 0);
  }

  std::vector<std::byte> embedded() const { return bytes_of_buffer(embedded_); }
  std::vector<std::byte> logits() const { return bytes_of_buffer(logits_); }
  std::vector<std::byte> sampled() const { return bytes_of_buffer(sampled_); }

 private:
  int32_t add(const char* name, Format format, int64_t rows, int64_t cols, const void* values) {
    const int32_t index = residents_.declare({.name = name,
                                              .format = format,
                                              .rows = rows,
                                              .cols = cols,
                                              .lifetime = flow::Lifetime::carried});
    auto& memory = memory_.emplace_back(
        std::make_unique<std::byte[]>(static_cast<size_t>(residents_[index].bytes())));
    if (values != nullptr) {
      std::memcpy(memory.get(), values, static_cast<size_t>(residents_[index].bytes()));
    }
    residents_.set_data(index, 0, memory.get());
    return index;
  }
  std::vector<std::byte> bytes_of_buffer(int32_t index) const {
    const std::byte* data = memory_[static_cast<size_t>(index)].get();
    return {data, data + residents_[index].bytes()};
  }

  flow::LauncherTable table_;
  flow::Residents residents_;
  std::vector<std::unique_ptr<std::byte[]>> memory_;
  std::vector<std::byte> workspace_;
  flow::Schedule schedule_;
  int32_t embedded_ = 0, logits_ = 0, sampled_ = 0;
};

// Sizes that are whole multiples of 16 a rank, odd, and so small that the last ranks have none.
TEST(VocabularyInPartsTest, EmbeddingLogitsAndChoiceHaveTheBitsOfOneRank) {
  for (const int64_t size : {64, 131, 9}) {
    const Vocabulary vocabulary(size);
    Rank alone(vocabulary, 0, 1, nullptr);
    alone.run();
    for (const int32_t ranks : {2, 3, 8}) {
      SCOPED_TRACE(testing::Message() << size << " ids on " << ranks << " ranks");
      std::vector<int32_t> members;
      for (int32_t rank = 0; rank < ranks; ++rank) members.push_back(rank);
      comm::LocalGroup group(members, std::chrono::seconds(20));
      std::vector<std::unique_ptr<Rank>> all;
      for (const int32_t rank : members) {
        all.push_back(std::make_unique<Rank>(vocabulary, rank, ranks, &group.member(rank)));
      }
      std::vector<std::thread> threads;
      for (const auto& rank : all) threads.emplace_back([&rank] { rank->run(); });
      for (std::thread& thread : threads) thread.join();
      EXPECT_TRUE(group.member(0).status().ok()) << group.member(0).status().to_string();
      for (const auto& rank : all) {
        EXPECT_EQ(rank->embedded(), alone.embedded());
        EXPECT_EQ(rank->logits(), alone.logits());
        EXPECT_EQ(rank->sampled(), alone.sampled());
      }
    }
  }
}

// A peer that never comes: no logits, and the reason.
TEST(VocabularyInPartsTest, AFailureLeavesZerosAndTheReason) {
  comm::LocalGroup group({0, 1}, std::chrono::milliseconds(20));
  Rank rank(Vocabulary(64), 0, 2, &group.member(0));
  rank.run();
  EXPECT_NE(group.member(0).status().to_string().find("rank 1 did not come"), std::string::npos);
  EXPECT_EQ(rank.logits(), std::vector<std::byte>(kTokens * 64 * sizeof(float)));
}

}  // namespace
}  // namespace braid::ops
