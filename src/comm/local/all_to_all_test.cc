// Rows to one member each, among threads: which rows arrive in which order, no or one member
// getting all of them, and what mistakes are told to all.
#include <gtest/gtest.h>

#include <thread>

#include "comm/local/local_group.h"

namespace braid::comm {
namespace {

using std::chrono::milliseconds;
using Counts = std::vector<int32_t>;
using Matrix = std::vector<int32_t>;

Rows view(Matrix& matrix, int64_t rows, int64_t cols) {
  return {reinterpret_cast<std::byte*>(matrix.data()), cols * 4, rows, cols, Format::i32};
}

template <typename Body>
void on_threads(size_t ranks, Body body) {
  std::vector<std::thread> threads;
  for (size_t rank = 0; rank < ranks; ++rank) threads.emplace_back([=] { body(rank); });
  for (std::thread& thread : threads) thread.join();
}

std::vector<int32_t> counted(size_t ranks) {
  std::vector<int32_t> all;
  for (size_t rank = 0; rank < ranks; ++rank) all.push_back(static_cast<int32_t>(rank));
  return all;
}

// counts[from][to]; two buffers of 2 and 1 columns in one call, a row more than needed everywhere.
void expect_sent(const std::vector<Counts>& counts) {
  const size_t ranks = counts.size();
  LocalGroup group(counted(ranks), milliseconds(20000));
  on_threads(ranks, [&](size_t rank) {
    const int64_t own = total_of(counts[rank]) + 1;
    int64_t all = 1;
    for (const Counts& of_rank : counts) all += of_rank[rank];
    Matrix rows(static_cast<size_t>(2 * own)), numbers(static_cast<size_t>(own));
    for (size_t i = 0; i < numbers.size(); ++i) {
      numbers[i] = static_cast<int32_t>(1000 * rank + i);
      rows[2 * i] = rows[2 * i + 1] = -numbers[i];
    }
    Matrix got_rows(static_cast<size_t>(2 * all), 77), got(static_cast<size_t>(all), 77);
    const std::array<Gather, 2> buffers = {
        {{view(rows, own, 2), view(got_rows, all, 2)}, {view(numbers, own, 1), view(got, all, 1)}}};
    Counts received(ranks, -1);
    ASSERT_TRUE(group.member(static_cast<int32_t>(rank))
                    .all_to_all_v(buffers, counts[rank].data(), received.data(), nullptr)
                    .ok());
    size_t at = 0;
    for (size_t from = 0; from < ranks; ++from) {
      EXPECT_EQ(received[from], counts[from][rank]);
      const int64_t first = first_of(counts[from], static_cast<int32_t>(rank));
      for (int32_t i = 0; i < counts[from][rank]; ++i, ++at) {
        EXPECT_EQ(got[at], static_cast<int32_t>(1000 * from) + first + i);
        EXPECT_EQ(got_rows[2 * at + 1], -got[at]);
      }
    }
    EXPECT_EQ(at + 1, got.size());
    EXPECT_EQ(got[at], 77);  // no member sent this
  });
}

TEST(AllToAllVTest, RowsComeInTheOrderOfTheirRanks) {
  expect_sent({{1, 2, 3}, {2, 0, 1}, {4, 1, 0}});
  expect_sent({{3, 1}, {2, 2}});
  expect_sent({{2}});
}

TEST(AllToAllVTest, MembersSendAndGetNothing) {
  expect_sent({{0, 0, 0}, {1, 0, 4}, {0, 0, 2}});
  expect_sent({{0, 0}, {0, 0}});
}

TEST(AllToAllVTest, AllRowsToOneMember) { expect_sent({{0, 5, 0}, {0, 7, 0}, {0, 1, 0}}); }

TEST(AllToAllVTest, TheWayBackRestoresWhatWasSent) {
  const std::vector<Counts> counts = {{1, 2}, {3, 0}};
  LocalGroup group({0, 1}, milliseconds(20000));
  on_threads(2, [&](size_t rank) {
    Matrix sent, there(4), back(3);
    for (int i = 0; i < 3; ++i) sent.push_back(static_cast<int32_t>(10 * rank) + i);
    Counts received(2), returned(2);
    Communicator& member = group.member(static_cast<int32_t>(rank));
    const Gather out{view(sent, 3, 1), view(there, 4, 1)};
    ASSERT_TRUE(member.all_to_all_v({&out, 1}, counts[rank].data(), received.data(), nullptr).ok());
    const Gather home{view(there, 4, 1), view(back, 3, 1)};
    ASSERT_TRUE(member.all_to_all_v({&home, 1}, received.data(), returned.data(), nullptr).ok());
    EXPECT_EQ(back, sent);
    EXPECT_EQ(returned, counts[rank]);
  });
}

// What both members are told; member r sends counts[r], and has room for 3 rows.
std::array<std::string, 2> told(const std::array<Counts, 2>& counts) {
  LocalGroup group({4, 6}, milliseconds(200));
  std::array<std::string, 2> statuses;
  on_threads(2, [&](size_t rank) {
    Matrix in(3), out(3);
    Counts received(2);
    const Gather buffer{view(in, 3, 1), view(out, 3, 1)};
    statuses[rank] = group.member(static_cast<int32_t>(rank))
                         .all_to_all_v({&buffer, 1}, counts[rank].data(), received.data(), nullptr)
                         .to_string();
  });
  return statuses;
}

TEST(AllToAllVTest, MoreThanTheRoomIsRefusedOnAllRanks) {
  for (const std::string& status : told({Counts{0, 2}, Counts{0, 2}})) {
    EXPECT_EQ(status,
              "a rank is sent more rows than it has room for (rank = 6, rows = 4, room = 3)");
  }
  for (const Counts& counts : {Counts{3, 1}, Counts{2, -1}}) {
    for (const std::string& status : told({counts, Counts{0, 0}})) {
      EXPECT_NE(status.find("are not those that a collective's counts say"), std::string::npos);
    }
  }
}

TEST(AllToAllVTest, DoesNotMeetAGather) {
  LocalGroup group({0, 1}, milliseconds(20000));
  on_threads(2, [&](size_t rank) {
    Matrix in(2), out(2);
    Counts counts = {1, 1}, received(2);
    const Gather buffer{view(in, 2, 1), view(out, 2, 1)};
    Communicator& member = group.member(static_cast<int32_t>(rank));
    const Status status =
        rank == 0 ? member.all_to_all_v({&buffer, 1}, counts.data(), received.data(), nullptr)
                  : member.all_gather_v({&buffer, 1}, counts, nullptr);
    EXPECT_NE(status.to_string().find("send [1 + 1, 1] i32"), std::string::npos);
  });
}

// A link carries what a rank gets while it carries what it sends: the more of both counts.
TEST(AllToAllVTest, TakesAsLongAsTheBusiestLink) {
  const LinkSpeed speed{.bytes_per_second = 4e6, .latency_us = 0};  // a row of 4 bytes: 1 µs
  EmulatedLink first(speed), second(speed);
  LocalGroup group({0, 1}, milliseconds(20000), {&first, &second});
  const auto start = std::chrono::steady_clock::now();
  on_threads(2, [&](size_t rank) {
    Matrix in(20000), out(40000);
    const Counts counts = rank == 0 ? Counts{5000, 15000} : Counts{0, 0};
    Counts received(2);
    const Gather buffer{view(in, 20000, 1), view(out, 40000, 1)};
    EXPECT_TRUE(group.member(static_cast<int32_t>(rank))
                    .all_to_all_v({&buffer, 1}, counts.data(), received.data(), nullptr)
                    .ok());
  });
  EXPECT_GE(std::chrono::steady_clock::now() - start, milliseconds(15));
}

}  // namespace
}  // namespace braid::comm
