// Collectives with counts, among threads: whose rows get where, in which order they are summed,
// and what mistakes are told to all.
#include <gtest/gtest.h>

#include <cstring>
#include <thread>

#include "base/float16.h"
#include "comm/local/local_group.h"

namespace braid::comm {
namespace {

using std::chrono::milliseconds;
using Counts = std::vector<int32_t>;

constexpr milliseconds kLong{20000};

template <typename T>
constexpr Format kFormat = Format::f32;
template <>
constexpr Format kFormat<bf16> = Format::bf16;
template <>
constexpr Format kFormat<int32_t> = Format::i32;

// A matrix in its own memory, with columns behind those that are moved.
template <typename T>
struct Matrix {
  Matrix(int64_t rows, int64_t cols, T fill)
      : rows(rows), cols(cols), values(static_cast<size_t>(rows * (cols + 2)), fill) {}

  T& at(int64_t row, int64_t col) { return values[static_cast<size_t>(row * (cols + 2) + col)]; }
  Rows view() {
    return {reinterpret_cast<std::byte*>(values.data()),
            (cols + 2) * static_cast<int64_t>(sizeof(T)), rows, cols, kFormat<T>};
  }

  int64_t rows;
  int64_t cols;
  std::vector<T> values;
};

template <typename Body>
void on_threads(size_t ranks, Body body) {
  std::vector<std::thread> threads;
  for (size_t rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([=] { body(static_cast<int32_t>(rank)); });
  }
  for (std::thread& thread : threads) thread.join();
}

std::vector<int32_t> counted(size_t ranks) {
  std::vector<int32_t> all;
  for (size_t rank = 0; rank < ranks; ++rank) all.push_back(static_cast<int32_t>(rank));
  return all;
}

int32_t id_of(int32_t rank, int64_t row, int64_t col) {
  return static_cast<int32_t>(1000 * rank + 10 * row + col);
}

// Three buffers of different formats in one call; two rows more than needed on both sides.
void expect_gathered(const Counts& counts) {
  LocalGroup group(counted(counts.size()), kLong);
  const int64_t total = total_of(counts);
  on_threads(counts.size(), [&](int32_t rank) {
    const int64_t own = counts[static_cast<size_t>(rank)] + 2;
    Matrix<bf16> payload(own, 5, from_float<bf16>(0)), payloads(total + 2, 5, from_float<bf16>(9));
    Matrix<int32_t> ids(own, 2, 0), all_ids(total + 2, 2, -7);
    Matrix<float> weights(own, 1, 0), all_weights(total + 2, 1, -7);
    for (int64_t row = 0; row < own; ++row) {
      for (int64_t col = 0; col < 5; ++col) {
        payload.at(row, col) = from_float<bf16>(static_cast<float>(16 * rank + row));
      }
      for (int64_t col = 0; col < 2; ++col) ids.at(row, col) = id_of(rank, row, col);
      weights.at(row, 0) = static_cast<float>(id_of(rank, row, 0)) / 8;
    }
    const std::array<Gather, 3> buffers = {{{payload.view(), payloads.view()},
                                            {ids.view(), all_ids.view()},
                                            {weights.view(), all_weights.view()}}};
    ASSERT_TRUE(group.member(rank).all_gather_v(buffers, counts, nullptr).ok());
    int64_t at = 0;
    for (int32_t from = 0; from < std::ssize(counts); ++from) {
      for (int64_t row = 0; row < counts[static_cast<size_t>(from)]; ++row, ++at) {
        EXPECT_EQ(to_float(payloads.at(at, 4)), static_cast<float>(16 * from + row));
        EXPECT_EQ(all_ids.at(at, 1), id_of(from, row, 1));
        EXPECT_EQ(all_weights.at(at, 0), static_cast<float>(id_of(from, row, 0)) / 8);
        EXPECT_EQ(all_ids.at(at, 2), -7);  // beyond the columns
      }
    }
    EXPECT_EQ(at, total);
    for (; at < total + 2; ++at) {
      EXPECT_EQ(all_ids.at(at, 0), -7);
      EXPECT_EQ(to_float(payloads.at(at, 0)), 9.0f);
    }
  });
}

TEST(AllGatherVTest, RowsLieOneMemberBehindTheOther) {
  expect_gathered({3, 1, 2});
  expect_gathered({2, 2});
  expect_gathered({4});
}

TEST(AllGatherVTest, MembersWithoutRowsTakePart) {
  expect_gathered({0, 3, 0, 1});
  expect_gathered({5, 0});
  expect_gathered({0, 0, 0});
}

TEST(AllGatherVTest, RowsMayLieWhereTheyGo) {
  const Counts counts = {2, 0, 3};
  LocalGroup group(counted(3), kLong);
  on_threads(3, [&](int32_t rank) {
    const int64_t first = first_of(counts, rank), own = counts[static_cast<size_t>(rank)];
    for (int round = 0; round < 200; ++round) {
      Matrix<int32_t> all(5, 2, -7);
      for (int64_t row = 0; row < own; ++row) all.at(first + row, 1) = id_of(rank, row, round);
      Rows in = all.view();
      in.data += first * in.stride;
      in.rows = own;
      const Gather buffer{in, all.view()};
      ASSERT_TRUE(group.member(rank).all_gather_v({&buffer, 1}, counts, nullptr).ok());
      EXPECT_EQ(all.at(1, 1), id_of(0, 1, round));
      EXPECT_EQ(all.at(4, 1), id_of(2, 2, round));
    }
  });
}

// Values whose sum depends on the order of the addition.
float value_of(int32_t rank, int64_t row, int64_t col) {
  const uint32_t bits = static_cast<uint32_t>(row * 31 + col + 1) * 2654435761u ^
                        static_cast<uint32_t>(rank + 1) * 0x9e3779b9u;
  const float scale = (bits & 1) != 0 ? 1e6f : 1.0f;
  return scale * (static_cast<float>(bits >> 8) / 16777216.0f - 0.5f);
}

template <typename T>
T sum_of(size_t ranks, int64_t row, int64_t col) {
  float sum = to_float(from_float<T>(value_of(0, row, col)));
  for (size_t rank = 1; rank < ranks; ++rank) {
    sum += to_float(from_float<T>(value_of(static_cast<int32_t>(rank), row, col)));
  }
  return from_float<T>(sum);
}

template <typename T>
void expect_scattered(const Counts& counts) {
  LocalGroup group(counted(counts.size()), kLong);
  const int64_t total = total_of(counts);
  on_threads(counts.size(), [&](int32_t rank) {
    const int64_t own = counts[static_cast<size_t>(rank)];
    Matrix<T> in(total + 1, 3, T{}), out(own + 1, 3, from_float<T>(5));
    for (int64_t row = 0; row < total; ++row) {
      for (int64_t col = 0; col < 3; ++col) {
        in.at(row, col) = from_float<T>(value_of(rank, row, col));
      }
    }
    ASSERT_TRUE(group.member(rank).reduce_scatter_v(in.view(), out.view(), counts, nullptr).ok());
    const int64_t first = first_of(counts, rank);
    for (int64_t row = 0; row < own; ++row) {
      for (int64_t col = 0; col < 3; ++col) {
        const T want = sum_of<T>(counts.size(), first + row, col);
        ASSERT_EQ(0, std::memcmp(&out.at(row, col), &want, sizeof(T))) << rank << " " << row;
      }
    }
    EXPECT_EQ(to_float(out.at(own, 0)), 5.0f);
  });
}

TEST(ReduceScatterVTest, SumsInTheOrderOfTheRanksRoundedOnce) {
  for (const Counts& counts : {Counts{3, 1, 2}, Counts{2, 2, 2, 2}, Counts{4}, Counts{0, 3, 0, 1},
                               Counts{5, 0}, Counts{0, 0}}) {
    expect_scattered<float>(counts);
    expect_scattered<bf16>(counts);
  }
}

TEST(ReduceScatterVTest, GathersAndSumsTakeTurnsForALongTime) {
  const Counts counts = {2, 0, 1};
  LocalGroup group(counted(3), kLong);
  std::array<int, 3> wrong{};
  on_threads(3, [&](int32_t rank) {
    Matrix<float> own(2, 1, 0), all(3, 1, 0);
    for (int round = 0; round < 1000; ++round) {
      for (int64_t row = 0; row < 2; ++row) own.at(row, 0) = static_cast<float>(round + rank);
      const Gather buffer{own.view(), all.view()};
      bool right = group.member(rank).all_gather_v({&buffer, 1}, counts, nullptr).ok();
      right = right && all.at(1, 0) == static_cast<float>(round) &&
              all.at(2, 0) == static_cast<float>(round + 2);
      right = right &&
              group.member(rank).reduce_scatter_v(all.view(), own.view(), counts, nullptr).ok();
      if (rank == 0) right = right && own.at(0, 0) == static_cast<float>(3 * round);
      if (rank == 2) right = right && own.at(0, 0) == static_cast<float>(3 * (round + 2));
      wrong[static_cast<size_t>(rank)] += right ? 0 : 1;
    }
  });
  EXPECT_EQ(wrong, (std::array<int, 3>{}));
}

// Statuses of ranks 0 and 1, which come with these counts.
std::array<std::string, 2> gather_with(const std::array<Counts, 2>& counts) {
  LocalGroup group({4, 6}, milliseconds(200));
  std::array<std::string, 2> statuses;
  on_threads(2, [&](int32_t rank) {
    Matrix<float> in(2, 3, 0), out(4, 3, 0);
    const Gather buffer{in.view(), out.view()};
    const auto i = static_cast<size_t>(rank);
    statuses[i] = group.member(rank).all_gather_v({&buffer, 1}, counts[i], nullptr).to_string();
  });
  return statuses;
}

TEST(AllGatherVTest, DifferentCountsAreRefusedOnAllRanks) {
  for (const std::string& status : gather_with({Counts{2, 1}, Counts{2, 2}})) {
    EXPECT_EQ(status,
              "ranks meet in a collective with different rows (rank = 4, rows = gather [2 + 1, 3] "
              "f32, other rank = 6, its rows = gather [2 + 2, 3] f32)");
  }
}

TEST(AllGatherVTest, CountsThatDontFitAreRefusedOnAllRanks) {
  const std::string rule = "a rank's rows are not those that a collective's counts say";
  for (const Counts& counts : {Counts{3, 1}, Counts{2, -1}, Counts{1, 1, 1}, Counts{1}}) {
    for (const std::string& status : gather_with({counts, counts})) {
      EXPECT_NE(status.find(rule), std::string::npos) << status;
    }
  }
}

TEST(AllGatherVTest, AGatherDoesNotMeetASum) {
  LocalGroup group({0, 1}, kLong);
  std::array<Status, 2> statuses;
  on_threads(2, [&](int32_t rank) {
    const Counts counts = {1, 1};
    Matrix<float> own(1, 3, 0), all(2, 3, 0);
    const Gather buffer{own.view(), all.view()};
    Communicator& member = group.member(rank);
    statuses[static_cast<size_t>(rank)] =
        rank == 0 ? member.all_gather_v({&buffer, 1}, counts, nullptr)
                  : member.reduce_scatter_v(all.view(), own.view(), counts, nullptr);
  });
  for (const Status& status : statuses) {
    EXPECT_NE(status.to_string().find("reduce and scatter [1 + 1, 3] f32"), std::string::npos);
  }
}

TEST(ReduceScatterVTest, FormatsThatCantBeSummedAreRefused) {
  LocalGroup group({0}, kLong);
  Matrix<int32_t> own(1, 3, 0), all(1, 3, 0);
  const Status status =
      group.member(0).reduce_scatter_v(all.view(), own.view(), Counts{1}, nullptr);
  EXPECT_EQ(status.error().kind(), ErrorKind::unsupported);
}

// A group of one rank that has nothing but a sum.
class OnlySums final : public Communicator {
 public:
  int32_t rank() const override { return 0; }
  int32_t size() const override { return 1; }
  Status all_reduce(const Rows&, const Rows&, device::Queue*) override { return {}; }
  void abort(const Error&) override {}
  Status status() const override { return {}; }
};

TEST(CommunicatorTest, WhatAGroupLacksIsRefusedByName) {
  OnlySums group;
  EXPECT_EQ(group.all_gather_v({}, {}, nullptr).error().kind(), ErrorKind::unsupported);
  EXPECT_NE(group.reduce_scatter_v({}, {}, {}, nullptr).to_string().find("reduce_scatter_v"),
            std::string::npos);
}

TEST(CommunicatorTest, CountsAddUp) {
  const Counts counts = {3, 0, 2};
  EXPECT_EQ(total_of(counts), 5);
  EXPECT_EQ(first_of(counts, 0), 0);
  EXPECT_EQ(first_of(counts, 2), 3);
  EXPECT_EQ(total_of({}), 0);
}

}  // namespace
}  // namespace braid::comm
