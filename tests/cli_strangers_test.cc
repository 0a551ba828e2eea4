// Strangers' connections of every sort while two nodes start and run: the job's tokens are those of
// one host, it starts hardly later, and the launcher's memory stays as it is.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include "comm/control/tcp.h"
#include "support/models.h"
#include "support/program.h"
#include "support/shell.h"
#include "support/two_hosts.h"

namespace braid::testing {
namespace {

constexpr std::string_view kWords = "--prompt Once --max-tokens 60 --temperature 0 --quiet --tp 2";

int64_t peak_kilobytes(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/status", pid));
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("VmHWM:")) return std::atoll(line.c_str() + 6);
  }
  return 0;
}

size_t descriptors(pid_t pid) {
  std::error_code failed;
  const std::filesystem::directory_iterator files(fmt::format("/proc/{}/fd", pid), failed);
  return failed ? 0 : static_cast<size_t>(std::distance(begin(files), end(files)));
}

// What a stranger sends: nothing, half a message, another protocol, a huge length, a wrong proof.
std::string strange_bytes(size_t i) {
  const std::string hello(16, '\3');
  switch (i % 5) {
    case 0: return {};
    case 1: return "x";
    case 2: return "GET / HTTP/1.1\r\n\r\n";
    case 3: return std::string("\3\0\0\0\0\0\0\0", 8) + std::string(8, '\x7f');
    default: return std::string("\3\0\0\0\0\0\0\0\x40\0\0\0\0\0\0\0", 16) + std::string(64, 'p');
  }
}

// Makes `count` connections, or as many until the port is closed: how many were made. A hundred
// are held at a time.
size_t flood(const comm::HostPort& address, size_t count) {
  std::vector<int> held;
  size_t made = 0;
  for (; made < count; ++made) {
    const int socket = comm::try_to_connect(address, std::chrono::milliseconds(500)).value();
    if (socket < 0) break;
    const std::string bytes = strange_bytes(made);
    (void)::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    held.push_back(socket);
    if (held.size() < 100) continue;
    for (const int one : held) ::close(one);
    held.clear();
  }
  for (const int one : held) ::close(one);
  return made;
}

std::string node(int index, const comm::HostPort& address) {
  return braid(fmt::format("generate {} {} --nnodes 2 --node-rank {} --dist-init-addr {}:{}",
                           fairytale_folder(), kWords, index, address.host, address.port));
}

// Two nodes, each behind its prefix; `before` runs when the first one listens and the second one
// hasn't begun, `meanwhile` while both do. Seconds from the second one's start until all have come,
// when the port is closed.
struct Met {
  double seconds = 0;
  std::string out;
};
Met meet(const comm::HostPort& address, const std::array<std::string, 2>& prefixes,
         const std::function<void(pid_t)>& before, const std::function<void()>& meanwhile) {
  Program first(prefixes[0] + node(0, address));
  EXPECT_TRUE(first.wait_for_children(1, std::chrono::seconds(10))) << first.err();
  before(first.pid());
  const auto start = std::chrono::steady_clock::now();
  Program second(prefixes[1] + node(1, address));
  meanwhile();
  Met met;
  met.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  EXPECT_EQ(first.wait(std::chrono::seconds(60)), 0) << first.err();
  EXPECT_EQ(second.wait(std::chrono::seconds(10)), 0) << second.err();
  met.out = first.out();
  return met;
}

size_t strangers() { return std::getenv("BRAID_LONG") != nullptr ? 10'000 : 2'000; }

// How much longer two nodes take to meet among strangers. Their answer must be `answer`.
double seconds_lost_to_strangers(const std::string& answer) {
  const auto knock = [](const comm::HostPort& at) {  // now and then
    while (flood(at, 1) == 1) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  };
  const comm::HostPort quiet{"127.0.0.1", free_port()};
  const Met usual = meet(
      quiet, {}, [](pid_t) {}, [&] { knock(quiet); });
  EXPECT_EQ(usual.out, answer);

  const comm::HostPort loud{"127.0.0.1", free_port()};
  const Met flooded = meet(
      loud, {},
      [&](pid_t launcher) {
        EXPECT_EQ(flood(loud, strangers() / 2), strangers() / 2);
        EXPECT_LT(descriptors(launcher), 100u);
      },
      [&] { flood(loud, SIZE_MAX); });
  EXPECT_EQ(flooded.out, answer);
  return flooded.seconds - usual.seconds;
}

TEST(CliStrangersTest, HarmNothing) {
  const Shell one = shell(braid(fmt::format("generate {} {}", fairytale_folder(), kWords)));
  // Other programs on the machine may delay a start, too: the best of some attempts counts.
  constexpr int kAttempts = 4;
  double lost = seconds_lost_to_strangers(one.out);
  for (int attempt = 1; attempt < kAttempts && lost >= 1 && !HasFailure(); ++attempt) {
    lost = std::min(lost, seconds_lost_to_strangers(one.out));
  }
  EXPECT_LT(lost, 1);
}

// The peak of a launcher that waits, flooded by four times as many: as high as before.
TEST(CliStrangersTest, MemoryStaysAsItIs) {
  const comm::HostPort address{"127.0.0.1", free_port()};
  Program first(node(0, address));
  ASSERT_TRUE(first.wait_for_children(1, std::chrono::seconds(10)));
  flood(address, 500);
  const int64_t before = peak_kilobytes(first.pid());
  EXPECT_GT(before, 0);
  flood(address, strangers());
  EXPECT_LE(peak_kilobytes(first.pid()), before + 1024);
  first.signal(SIGTERM);
  EXPECT_EQ(first.wait(std::chrono::seconds(10)), 128 + SIGTERM);
  EXPECT_EQ(first.err(), "");
}

// A few descriptors for all: strangers take none that ranks need, and the launcher doesn't spin.
TEST(CliStrangersTest, DescriptorsSuffice) {
  const comm::HostPort address{"127.0.0.1", free_port()};
  Program first("sh -c 'ulimit -n 24; exec " + node(0, address) + "'");
  ASSERT_TRUE(first.wait_for_children(1, std::chrono::seconds(10)));
  EXPECT_EQ(flood(address, 500), 500u);
  Program second(node(1, address));
  EXPECT_EQ(first.wait(std::chrono::seconds(60)), 0) << first.err();
  EXPECT_EQ(second.wait(std::chrono::seconds(10)), 0) << second.err();
}

// From the other host of two, as far as the network is concerned.
TEST(CliStrangersTest, HarmNothingFromAnotherHost) {
  const TwoHosts hosts;
  if (!hosts.made()) GTEST_SKIP() << "no network namespaces here: " << hosts.why_not();
  const comm::HostPort address{std::string(hosts.first_address()), "29572"};
  const pid_t stranger = ::fork();
  if (stranger == 0) {
    hosts.enter_second();
    while (flood(address, 1) == 0) ::usleep(1000);
    flood(address, SIZE_MAX);
    ::_exit(0);
  }
  const Met met = meet(
      address, hosts.prefixes(), [](pid_t) { ::usleep(500'000); }, [] {});
  ::kill(stranger, SIGKILL);
  ::waitpid(stranger, nullptr, 0);
  EXPECT_EQ(met.out, shell(braid(fmt::format("generate {} {}", fairytale_folder(), kWords))).out);
}

}  // namespace
}  // namespace braid::testing
