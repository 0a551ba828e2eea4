#include "comm/local/local_group.h"

#include <gtest/gtest.h>

#include <cstring>
#include <thread>

#include "base/float16.h"
#include "comm/group_test_util.h"

namespace braid::comm {
namespace {

using std::chrono::milliseconds;
using testing::counted;
using testing::value_of;

constexpr milliseconds kLong{20000};

template <typename T>
constexpr Format kFormat = Format::f32;
template <>
constexpr Format kFormat<bf16> = Format::bf16;

template <typename T>
Rows rows_of(std::vector<T>& values, int64_t rows, int64_t cols, int64_t stride) {
  return {reinterpret_cast<std::byte*>(values.data()), stride * static_cast<int64_t>(sizeof(T)),
          rows, cols, kFormat<T>};
}

// Runs body(rank) on a thread a rank.
template <typename Body>
void on_threads(int32_t ranks, Body body) {
  std::vector<std::thread> threads;
  for (int32_t rank = 0; rank < ranks; ++rank) threads.emplace_back([=] { body(rank); });
  for (std::thread& thread : threads) thread.join();
}

// The sum of every element in the order of the ranks, rounded once.
template <typename T>
T expected(int32_t ranks, size_t index) {
  float sum = to_float(from_float<T>(value_of(0, index)));
  for (int32_t rank = 1; rank < ranks; ++rank) {
    sum += to_float(from_float<T>(value_of(rank, index)));
  }
  return from_float<T>(sum);
}

// Rows of a matrix of `stride` columns into dense rows, or in place.
template <typename T>
void expect_fixed_order_sums(int32_t ranks, int64_t rows, int64_t cols, bool in_place) {
  LocalGroup group(counted(ranks), kLong);
  const int64_t stride = cols + 3;
  std::vector<std::vector<T>> ins(static_cast<size_t>(ranks)), outs(ins);
  for (int32_t rank = 0; rank < ranks; ++rank) {
    auto& in = ins[static_cast<size_t>(rank)];
    for (size_t i = 0; i < static_cast<size_t>(rows * stride); ++i) {
      in.push_back(from_float<T>(value_of(rank, i)));
    }
    outs[static_cast<size_t>(rank)].resize(in.size());
  }
  on_threads(ranks, [&](int32_t rank) {
    const auto i = static_cast<size_t>(rank);
    const Rows in = rows_of(ins[i], rows, cols, stride);
    const Rows out = in_place ? in : rows_of(outs[i], rows, cols, stride);
    EXPECT_TRUE(group.member(rank).all_reduce(in, out, nullptr).ok());
  });
  for (const auto& got : in_place ? ins : outs) {
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t col = 0; col < cols; ++col) {
        const auto at = static_cast<size_t>(row * stride + col);
        const T want = expected<T>(ranks, at);
        ASSERT_EQ(0, std::memcmp(&got[at], &want, sizeof(T))) << ranks << " " << row << " " << col;
      }
    }
  }
}

TEST(LocalGroupTest, SumsInTheOrderOfTheRanksRoundedOnce) {
  for (const int32_t ranks : {1, 2, 3, 4}) {
    for (const bool in_place : {false, true}) {
      expect_fixed_order_sums<float>(ranks, 3, 37, in_place);
      expect_fixed_order_sums<bf16>(ranks, 5, 2, in_place);  // fewer columns than ranks
    }
  }
}

TEST(LocalGroupTest, ManyMeetingsNeverMixUp) {
  constexpr int32_t kRanks = 3;
  constexpr int kMeetings = 2000;
  LocalGroup group(counted(kRanks), kLong);
  std::array<int, kRanks> wrong{};
  on_threads(kRanks, [&](int32_t rank) {
    std::vector<float> in(7), out(7);
    for (int meeting = 0; meeting < kMeetings; ++meeting) {
      std::fill(in.begin(), in.end(), static_cast<float>(meeting + rank));
      const Status status =
          group.member(rank).all_reduce(rows_of(in, 1, 7, 7), rows_of(out, 1, 7, 7), nullptr);
      const auto sum = static_cast<float>(3 * meeting + 3);
      const bool right = status.ok() && out == std::vector<float>(7, sum);
      wrong[static_cast<size_t>(rank)] += right ? 0 : 1;
    }
  });
  EXPECT_EQ(wrong, (std::array<int, kRanks>{}));
}

TEST(LocalGroupTest, KnowsItsMembers) {
  LocalGroup group({4, 6}, kLong);
  EXPECT_EQ(group.member(1).rank(), 1);
  EXPECT_EQ(group.member(1).size(), 2);
  EXPECT_TRUE(group.member(0).status().ok());
}

TEST(LocalGroupTest, ARankThatStaysAwayIsNamedToAllOthers) {
  LocalGroup group({4, 5, 6}, milliseconds(50));
  std::array<Status, 2> statuses;
  on_threads(2, [&](int32_t rank) {  // rank 6 never comes
    std::vector<float> values(4);
    const Rows rows = rows_of(values, 2, 2, 2);
    statuses[static_cast<size_t>(rank)] = group.member(rank).all_reduce(rows, rows, nullptr);
  });
  for (const Status& status : statuses) {
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().kind(), ErrorKind::fault);
    EXPECT_NE(status.to_string().find("rank 6 did not come"), std::string::npos)
        << status.to_string();
    EXPECT_NE(status.to_string().find("[2, 2] f32"), std::string::npos);
  }
  // A member that comes late finds out at once, too.
  std::vector<float> values(4);
  const Rows rows = rows_of(values, 2, 2, 2);
  EXPECT_FALSE(group.member(2).all_reduce(rows, rows, nullptr).ok());
}

TEST(LocalGroupTest, AnAbortEndsEveryWaitWithItsReason) {
  LocalGroup group(counted(3), kLong);
  std::array<Status, 3> statuses;
  on_threads(3, [&](int32_t rank) {
    if (rank == 2) {
      std::this_thread::sleep_for(milliseconds(20));
      group.member(2).abort(Error(ErrorKind::fault, "rank 2 ran out of luck"));
      group.member(2).abort(Error(ErrorKind::fault, "a second reason"));
      return;
    }
    std::vector<float> values(4);
    const Rows rows = rows_of(values, 2, 2, 2);
    statuses[static_cast<size_t>(rank)] = group.member(rank).all_reduce(rows, rows, nullptr);
  });
  EXPECT_EQ(statuses[0].to_string(), "rank 2 ran out of luck");
  EXPECT_EQ(statuses[1].to_string(), "rank 2 ran out of luck");
  EXPECT_EQ(group.member(2).status().to_string(), "rank 2 ran out of luck");
}

TEST(LocalGroupTest, DifferentRowsAreRefusedOnAllRanks) {
  LocalGroup group({0, 1}, kLong);
  std::array<Status, 2> statuses;
  on_threads(2, [&](int32_t rank) {
    std::vector<float> values(4);
    const Rows rows = rows_of(values, 1, rank + 3, rank + 3);
    statuses[static_cast<size_t>(rank)] = group.member(rank).all_reduce(rows, rows, nullptr);
  });
  for (const Status& status : statuses) {
    EXPECT_EQ(status.to_string(),
              "ranks meet in a collective with different rows (rank = 0, rows = [1, 3] f32, other "
              "rank = 1, its rows = [1, 4] f32)");
  }
}

TEST(LocalGroupTest, FormatsThatCantBeSummedAreRefused) {
  LocalGroup group({0}, kLong);
  std::vector<float> values(4);
  Rows rows = rows_of(values, 1, 4, 4);
  rows.format = Format::i32;
  const Status status = group.member(0).all_reduce(rows, rows, nullptr);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind(), ErrorKind::unsupported);
}

}  // namespace
}  // namespace braid::comm
