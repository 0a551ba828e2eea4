#include "comm/control/processes.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "comm/control/message.h"

namespace braid::comm {
namespace {

using std::chrono::steady_clock;

double seconds_since(steady_clock::time_point start) {
  return std::chrono::duration<double>(steady_clock::now() - start).count();
}

TEST(MessageTest, PackedPartsComeBack) {
  const std::vector<std::string> parts = {"", "a", std::string(1000, '\0')};
  EXPECT_EQ(*unpack(pack(parts)), parts);
  const std::string packed = pack(parts);
  EXPECT_FALSE(unpack(std::string_view(packed).substr(0, packed.size() - 1)).ok());
  EXPECT_FALSE(unpack("abc").ok());
}

TEST(ProcessesTest, AllGatherBringsEveryRanksBytesInOrder) {
  const Status status = run_processes(4, [](ControlPlane& control) -> Status {
    for (int round = 0; round < 50; ++round) {
      const auto all = TRY(control.all_gather(
          std::string(static_cast<size_t>(control.rank() * round), char('a' + control.rank()))));
      if (all.size() != 4) return Error(ErrorKind::internal, "four parts");
      for (size_t rank = 0; rank < 4; ++rank) {
        if (all[rank] != std::string(rank * static_cast<size_t>(round), char('a' + rank))) {
          return Error(ErrorKind::internal, "wrong bytes").with("rank", rank);
        }
      }
    }
    return control.barrier();
  });
  EXPECT_TRUE(status.ok()) << status.to_string();
}

TEST(ProcessesTest, OneRankNeedsNoSocket) {
  ControlPlane alone(-1, 0, 1);
  EXPECT_EQ(alone.all_gather("x")->at(0), "x");
  EXPECT_TRUE(alone.poll().ok());
}

TEST(ProcessesTest, AnErrorOfARankEndsAll) {
  const auto start = steady_clock::now();
  const Status status = run_processes(3, [](ControlPlane& control) -> Status {
    if (control.rank() == 1) return Error(ErrorKind::usage, "wrong shape").with("rows", 7);
    return control.barrier();
  });
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind(), ErrorKind::usage);  // as it is
  EXPECT_NE(status.to_string().find("rank = 1"), std::string::npos) << status.to_string();
  EXPECT_NE(status.to_string().find("rows = 7"), std::string::npos) << status.to_string();
  EXPECT_LT(seconds_since(start), 5);
}

TEST(ProcessesTest, AKilledRankIsNamedAndTheOthersSayWhereTheyAre) {
  const auto start = steady_clock::now();
  const Status status = run_processes(3, [](ControlPlane& control) -> Status {
    TRY(control.barrier());
    if (control.rank() == 2) std::raise(SIGKILL);
    for (;;) {  // a step that never ends, because rank 2 is missing
      const Status others = control.poll();
      if (!others.ok()) control.fail(Error(others.error()).with("op", "all_reduce"));
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  const std::string text = status.to_string();
  EXPECT_NE(text.find("rank 2 died by signal 9"), std::string::npos) << text;
  EXPECT_NE(text.find("all_reduce"), std::string::npos) << text;
  EXPECT_LT(seconds_since(start), 5);
}

TEST(ProcessesTest, ARankThatHangsIsKilledAfterTheGrace) {
  const auto start = steady_clock::now();
  const Status status = run_processes(
      2,
      [](ControlPlane& control) -> Status {
        if (control.rank() == 0) return Error(ErrorKind::fault, "gave up");
        for (;;) ::pause();
      },
      /*grace=*/0.3);
  EXPECT_FALSE(status.ok());
  EXPECT_LT(seconds_since(start), 3);
}

TEST(ProcessesTest, ARankThatLeavesEarlyIsAFault) {
  const Status status = run_processes(2, [](ControlPlane& control) -> Status {
    if (control.rank() == 0) return {};
    return control.barrier();
  });
  EXPECT_FALSE(status.ok());
  EXPECT_NE(status.to_string().find("rank 0 ended while others wait"), std::string::npos)
      << status.to_string();
}

TEST(ProcessesTest, ExitIsNoSuccess) {
  const Status status = run_processes(1, [](ControlPlane&) -> Status { ::_exit(0); });
  EXPECT_FALSE(status.ok());
  EXPECT_NE(status.to_string().find("exit code 0 before its work was done"), std::string::npos)
      << status.to_string();
}

}  // namespace
}  // namespace braid::comm
