#include "device/cpu/lane_thread.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstdio>

#include "device/cpu/no_threads_test_util.h"

namespace braid::device {
namespace {

TEST(LaneThreadTest, RunsTasksInOrderOnOneThread) {
  std::vector<int> order;
  std::atomic<bool> same = true;
  {
    LaneThread lane("order");
    std::thread::id first;
    for (int i = 0; i < 1000; ++i) {
      lane.enqueue([&, i] {
        if (i == 0) first = std::this_thread::get_id();
        if (std::this_thread::get_id() != first) same = false;
        order.push_back(i);
      });
    }
  }  // runs what is queued, then joins
  ASSERT_EQ(order.size(), 1000u);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  EXPECT_TRUE(same);
}

// Nanoseconds of the time slice of the thread that calls.
uint64_t time_slice() {
  std::array<uint64_t, 6> attributes{};  // of sched_getattr(2): the fourth word is the slice
  const long failed = syscall(SYS_sched_getattr, 0, attributes.data(), sizeof(attributes), 0);
  return failed != 0 ? 0 : attributes[3];
}

TEST(LaneThreadTest, WakingAtOnceTakesShortSlices) {
  utsname system{};
  int major = 0, minor = 0;
  ASSERT_EQ(uname(&system), 0);
  if (std::sscanf(system.release, "%d.%d", &major, &minor) != 2 ||
      std::pair(major, minor) < std::pair(6, 12)) {
    GTEST_SKIP() << "Linux " << system.release << " has one slice for all threads";
  }
  uint64_t fairly = 0, at_once = 0;
  {
    LaneThread("fairly").enqueue([&] { fairly = time_slice(); });
  }
  {
    LaneThread("at once", Waking::at_once).enqueue([&] { at_once = time_slice(); });
  }
  EXPECT_EQ(at_once, 100'000u);
  EXPECT_GT(fairly, at_once);
}

TEST(LaneThreadTest, TasksMayQueueTasks) {
  std::atomic<int> runs = 0;
  {
    LaneThread lane("nested");
    lane.enqueue([&] {
      ++runs;
      lane.enqueue([&] { ++runs; });
    });
  }
  EXPECT_EQ(runs, 2);
}

TEST(LaneThreadTest, EnqueueDoesNotWait) {
  std::atomic<bool> open = false;
  std::atomic<int> runs = 0;
  LaneThread lane("blocked");
  lane.enqueue([&] { open.wait(false); });
  for (int i = 0; i < 10; ++i) lane.enqueue([&] { ++runs; });
  EXPECT_EQ(runs, 0);
  open = true;
  open.notify_all();
}

TEST(LaneThreadTest, ThreadsAreNamed) {
  std::array<char, 16> name{};
  {
    LaneThread lane("rank0.a_very_long_name");
    std::atomic<bool> go = false;  // set once the constructor has named the thread
    lane.enqueue([&] {
      go.wait(false);
      pthread_getname_np(pthread_self(), name.data(), name.size());
    });
    go = true;
    go.notify_all();
  }
  EXPECT_STREQ(name.data(), "rank0.a_very_lo");  // the system keeps 15 characters
}

TEST(LaneThreadTest, WithoutThreadsThereIsAnError) {
  ASSERT_TRUE(LaneThread::start("one").ok());
  EXPECT_TRUE(testing::true_without_threads([] {
    const auto none = LaneThread::start("none");
    return !none.ok() && none.error().kind() == ErrorKind::exhausted &&
           none.error().to_string().find("thread = none") != std::string::npos;
  }));
}

}  // namespace
}  // namespace braid::device
