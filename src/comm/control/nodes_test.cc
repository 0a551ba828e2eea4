// Several nodes, on one host: they meet, missing ones are named, unfitting ones are told why.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "comm/control/message.h"
#include "comm/control/processes.h"
#include "comm/control/tcp.h"

namespace braid::comm {
namespace {

constexpr std::string_view kSecret = "known to both nodes";

// An address of this host at which no other process listens.
std::string free_address() {
  const int socket = listen_at({std::string(kLoopback), "0"}).value();
  const int port = port_of(socket).value();
  ::close(socket);
  return fmt::format("{}:{}", kLoopback, port);
}

// A node in a process of its own, as another host would start it.
pid_t start_node(const Node& node, const RankBody& body) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(run_node(node, body).ok() ? 0 : 1);
  return pid;
}

int exit_code_of(pid_t pid) {
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

Node node_of_two(const std::string& address, int index) {
  return {.first_rank = 2 * index,
          .ranks = 2,
          .world = 4,
          .address = address,
          .secret = {.text = std::string(kSecret), .shared_file = {}},
          .connect = 20};
}

TEST(NodesTest, AllRanksMeetAndRankZerosWordCounts) {
  const std::string address = free_address();
  const RankBody body = [](ControlPlane& control) -> Status {
    for (int round = 0; round < 10; ++round) {
      const auto all = TRY(control.all_gather(fmt::format("{}", control.rank() * round)));
      for (int rank = 0; rank < 4; ++rank) {
        if (all[static_cast<size_t>(rank)] != fmt::format("{}", rank * round)) {
          return Error(ErrorKind::internal, "wrong bytes").with("rank", rank);
        }
      }
    }
    if (TRY(control.address()) != kLoopback) return Error(ErrorKind::internal, "address");
    if (control.local_rank() != control.rank() % 2) return Error(ErrorKind::internal, "local");
    control.conclude(fmt::format("said by {}", control.rank()));
    return {};
  };
  const pid_t other = ::fork();
  if (other == 0) {
    const auto said = run_node(node_of_two(address, 1), body);
    ::_exit(said.ok() && said->outcome == "said by 0" ? 0 : 1);
  }
  const auto said = run_node(node_of_two(address, 0), body);
  ASSERT_TRUE(said.ok()) << said.status().to_string();
  EXPECT_EQ(said->outcome, "said by 0");
  EXPECT_EQ(exit_code_of(other), 0);
}

TEST(NodesTest, ARankOfAnotherNodeThatDiesEndsAll) {
  const std::string address = free_address();
  const RankBody body = [](ControlPlane& control) -> Status {
    TRY(control.barrier());
    if (control.rank() == 3) std::raise(SIGKILL);
    if (control.rank() == 2) {
      for (;;) ::pause();  // killed by its own node, which is told
    }
    return control.barrier();
  };
  const auto start = std::chrono::steady_clock::now();
  const pid_t other = start_node(node_of_two(address, 1), body);
  const auto said = run_node(node_of_two(address, 0), body);
  ASSERT_FALSE(said.ok());
  EXPECT_NE(said.error().to_string().find("rank 3 is gone"), std::string::npos)
      << said.error().to_string();
  EXPECT_EQ(exit_code_of(other), 1);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
}

TEST(NodesTest, ANodeThatDoesNotComeIsMissed) {
  Node node = node_of_two(free_address(), 0);
  node.connect = 0.5;
  const auto said = run_node(node, [](ControlPlane& control) { return control.barrier(); });
  ASSERT_FALSE(said.ok());
  EXPECT_NE(said.error().to_string().find("ranks 2, 3 did not come"), std::string::npos)
      << said.error().to_string();
}

TEST(NodesTest, WithoutTheFirstNodeTheOthersEnd) {
  Node node = node_of_two(free_address(), 1);
  node.connect = 0.3;
  const auto said = run_node(node, [](ControlPlane& control) { return control.barrier(); });
  ASSERT_FALSE(said.ok());
  EXPECT_NE(said.error().to_string().find("does not answer"), std::string::npos)
      << said.error().to_string();
}

TEST(NodesTest, ANodeThatCountsOtherRanksIsRefused) {
  const std::string address = free_address();
  Node wrong = node_of_two(address, 1);
  wrong.world = 6;
  const RankBody body = [](ControlPlane& control) { return control.barrier(); };
  const pid_t other = start_node(wrong, body);
  const auto said = run_node(node_of_two(address, 0), body);
  ASSERT_FALSE(said.ok());
  EXPECT_NE(said.error().to_string().find("counts 6 ranks, the first node 4"), std::string::npos)
      << said.error().to_string();
  EXPECT_EQ(exit_code_of(other), 1);
}

TEST(TimeoutTest, WhoStaysAwayFromAGatherIsNamed) {
  const Status status = run_processes(
      3,
      [](ControlPlane& control) -> Status {
        if (control.rank() == 1) {
          for (;;) ::pause();
        }
        const auto patience = std::chrono::milliseconds(control.rank() == 0 ? 200 : 0);
        return control.all_gather("", patience).status();
      },
      /*grace=*/0.5);
  EXPECT_NE(status.to_string().find("rank 1 kept the others waiting"), std::string::npos)
      << status.to_string();
}

// Rank 1 needs longer than rank 0 waits, but says so, from several threads.
TEST(TimeoutTest, WhoMakesProgressIsWaitedFor) {
  const Status status = run_processes(2, [](ControlPlane& control) -> Status {
    if (control.rank() == 1) {
      std::vector<std::thread> threads;
      for (int i = 0; i < 3; ++i) {
        threads.emplace_back([&] {
          for (int turn = 0; turn < 300; ++turn) {
            control.alive();
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
          }
        });
      }
      for (std::thread& thread : threads) thread.join();
    }
    return control.all_gather("", std::chrono::milliseconds(2000)).status();
  });
  EXPECT_TRUE(status.ok()) << status.to_string();
}

TEST(HostPortTest, IsTakenApart) {
  EXPECT_EQ(parse_host_port("gpu1:29500")->host, "gpu1");
  EXPECT_EQ(parse_host_port("gpu1:29500")->port, "29500");
  EXPECT_EQ(parse_host_port("[fe80::1]:5")->host, "fe80::1");
  for (const char* bad : {"", "gpu1", ":5", "gpu1:", "gpu1:x", "gpu1:65536", "gpu1:-1", "[]:1"}) {
    EXPECT_FALSE(parse_host_port(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace braid::comm
