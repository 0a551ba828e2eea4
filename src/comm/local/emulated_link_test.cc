// Emulated links: what a collective takes, that links are shared, and that no bit changes.
#include "comm/local/emulated_link.h"

#include <gtest/gtest.h>

#include <thread>

#include "comm/local/local_group.h"

namespace braid::comm {
namespace {

using Clock = EmulatedLink::Clock;
using Counts = std::vector<int32_t>;
using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr milliseconds kLong{20000};

TEST(LinkLoadTest, IsWhatARingSends) {
  EXPECT_EQ(load_of_all_reduce(1000, 2).bytes, 1000);
  EXPECT_EQ(load_of_all_reduce(1000, 2).messages, 2);
  EXPECT_EQ(load_of_all_reduce(1000, 4).bytes, 1500);
  EXPECT_EQ(load_of_all_reduce(1000, 4).messages, 6);
  EXPECT_EQ(load_of_all_reduce(1000, 1).bytes, 0);
  EXPECT_EQ(load_of_all_reduce(1000, 1).messages, 0);
  const Counts counts = {3, 0, 2};
  EXPECT_EQ(load_of_rows(counts, 0, 10).bytes, 20);
  EXPECT_EQ(load_of_rows(counts, 1, 10).bytes, 50);
  EXPECT_EQ(load_of_rows(counts, 2, 10).bytes, 30);
  EXPECT_EQ(load_of_rows(counts, 1, 10).messages, 2);
}

TEST(EmulatedLinkTest, LoadsQueueUp) {
  EmulatedLink link({.bytes_per_second = 1e9, .latency_us = 10});
  const Clock::time_point start = Clock::now();
  const LinkLoad load{.bytes = 1e6, .messages = 2};  // 1000 + 20 us
  EXPECT_EQ(link.book(start, load), start + microseconds(1020));
  EXPECT_EQ(link.book(start, load), start + microseconds(2040));  // behind the first
  const Clock::time_point later = start + microseconds(5000);
  EXPECT_EQ(link.book(later, {.bytes = 0, .messages = 1}), later + microseconds(10));
}

// Groups of the ranks 0 … n − 1 that have one link each.
struct LinkedGroups {
  LinkedGroups(size_t ranks, size_t groups, const LinkSpeed& speed) {
    std::vector<EmulatedLink*> ends;
    std::vector<int32_t> members;
    for (size_t rank = 0; rank < ranks; ++rank) {
      members.push_back(static_cast<int32_t>(rank));
      links.push_back(std::make_unique<EmulatedLink>(speed));
      ends.push_back(links.back().get());
    }
    for (size_t i = 0; i < groups; ++i) {
      all.push_back(std::make_unique<LocalGroup>(members, kLong, ends));
    }
  }
  std::vector<std::unique_ptr<EmulatedLink>> links;
  std::vector<std::unique_ptr<LocalGroup>> all;
};

Rows rows_of(std::vector<float>& values, int64_t rows) {
  const int64_t cols = std::ssize(values) / rows;
  return {reinterpret_cast<std::byte*>(values.data()), cols * 4, rows, cols, Format::f32};
}

template <typename Body>
Clock::duration on_threads(int32_t threads, Body body) {
  const Clock::time_point start = Clock::now();
  std::vector<std::thread> running;
  for (int32_t i = 0; i < threads; ++i) running.emplace_back([=] { body(i); });
  for (std::thread& thread : running) thread.join();
  return Clock::now() - start;
}

TEST(EmulatedLinkTest, AnAllReduceLastsAsLongAsItsBytesAndSumsTheSame) {
  const LinkedGroups linked(2, 1, {.bytes_per_second = 1e6, .latency_us = 5000});
  const auto took = on_threads(2, [&](int32_t rank) {
    std::vector<float> in(5000, static_cast<float>(rank + 1)), out(5000);  // 20 kB: 20 ms
    ASSERT_TRUE(
        linked.all[0]->member(rank).all_reduce(rows_of(in, 10), rows_of(out, 10), nullptr).ok());
    EXPECT_EQ(out, std::vector<float>(5000, 3));
  });
  EXPECT_GE(took, milliseconds(20 + 2 * 5));
}

TEST(EmulatedLinkTest, RowsOfOthersCountAndTheSlowestMemberEndsIt) {
  const LinkedGroups linked(2, 1, {.bytes_per_second = 1e6, .latency_us = 0});
  const Counts counts = {0, 20};  // only member 0 gets anything: 20 rows of 1 kB
  const auto took = on_threads(2, [&](int32_t rank) {
    std::vector<float> own(20 * 250, static_cast<float>(rank)), all(20 * 250);
    Communicator& member = linked.all[0]->member(rank);
    const Gather buffer{rows_of(own, 20), rows_of(all, 20)};
    const Clock::time_point start = Clock::now();
    ASSERT_TRUE(member.all_gather_v({&buffer, 1}, counts, nullptr).ok());
    ASSERT_TRUE(member.reduce_scatter_v(buffer.out, buffer.in, counts, nullptr).ok());
    EXPECT_GE(Clock::now() - start, milliseconds(40));
    EXPECT_EQ(own[0], rank == 1 ? 2 : 0);
  });
  EXPECT_GE(took, milliseconds(40));
}

// Two communicators of the same ranks, used at the same time, share the ranks' links.
TEST(EmulatedLinkTest, CommunicatorsOfARankTakeTurns) {
  const LinkedGroups linked(2, 2, {.bytes_per_second = 1e6, .latency_us = 0});
  const auto took = on_threads(4, [&](int32_t thread) {
    std::vector<float> values(5000);  // 20 ms
    const Rows rows = rows_of(values, 10);
    Communicator& member = linked.all[static_cast<size_t>(thread / 2)]->member(thread % 2);
    ASSERT_TRUE(member.all_reduce(rows, rows, nullptr).ok());
  });
  EXPECT_GE(took, milliseconds(40));
}

TEST(EmulatedLinkTest, AnAbortEndsTheWait) {
  const LinkedGroups linked(2, 1, {.bytes_per_second = 1e6, .latency_us = 1e6});  // 2 s
  const auto took = on_threads(3, [&](int32_t thread) {
    if (thread == 2) {
      std::this_thread::sleep_for(milliseconds(20));
      linked.all[0]->member(0).abort(Error(ErrorKind::fault, "enough"));
      return;
    }
    std::vector<float> values(10);
    const Rows rows = rows_of(values, 1);
    EXPECT_TRUE(linked.all[0]->member(thread).all_reduce(rows, rows, nullptr).ok());
  });
  EXPECT_LT(took, milliseconds(1500));
  EXPECT_EQ(linked.all[0]->member(0).status().to_string(), "enough");
}

}  // namespace
}  // namespace braid::comm
