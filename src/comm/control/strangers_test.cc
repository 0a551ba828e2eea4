// A stranger without the job's secret cannot harm the first node: silent, slow, huge, with a
// wrong secret, with what a rank has said before.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>

#include "base/digest.h"
#include "base/temp_folder.h"
#include "comm/control/join.h"
#include "comm/control/listener.h"
#include "comm/control/message.h"
#include "comm/control/processes.h"

namespace braid::comm {
namespace {

constexpr std::string_view kSecret = "known to both nodes";
const Hello kRank{.launcher = false, .rank = 1, .world = 2};

TEST(HelloTest, ProvesTheSecretToBothEnds) {
  const std::string challenge = make_challenge(), nonce = random_bytes(32);
  const std::string hello = make_hello(kRank, challenge, nonce, kSecret);
  EXPECT_LE(hello.size(), kMaxHelloBytes);
  const auto proven = check_hello(hello, challenge, kSecret);
  ASSERT_TRUE(proven);
  EXPECT_EQ(proven->hello.rank, 1);
  EXPECT_EQ(proven->hello.world, 2);
  EXPECT_FALSE(proven->hello.launcher);
  EXPECT_TRUE(check_welcome(proven->welcome, hello, challenge, kSecret));
  EXPECT_FALSE(check_welcome(proven->welcome, hello, challenge, "another secret"));
  EXPECT_FALSE(check_welcome("", hello, challenge, kSecret));
}

TEST(HelloTest, FitsOneChallengeAndOneSecretAndNoOtherWords) {
  const std::string challenge = make_challenge(), nonce = random_bytes(32);
  const std::string hello = make_hello(kRank, challenge, nonce, kSecret);
  EXPECT_FALSE(check_hello(hello, make_challenge(), kSecret));
  EXPECT_FALSE(check_hello(hello, challenge, "another secret"));
  for (size_t at = 0; at < hello.size(); ++at) {
    std::string changed = hello;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    EXPECT_FALSE(check_hello(changed, challenge, kSecret)) << at;
    EXPECT_FALSE(check_hello(hello.substr(0, at), challenge, kSecret)) << at;
  }
}

TEST(SharedSecretTest, IsItsOwnersAloneAndGoesWithItsMaker) {
  const TempFolder folder;
  const std::string file = folder.file("cache/braid/job");
  EXPECT_EQ(read_shared_secret(file).value(), std::nullopt);
  {
    const SharedSecret secret = SharedSecret::make(file).value();
    EXPECT_EQ(secret.text().size(), 64u);
    EXPECT_EQ(read_shared_secret(file).value(), secret.text());
    std::filesystem::permissions(file, std::filesystem::perms(0644));
    EXPECT_FALSE(read_shared_secret(file).ok());
  }
  EXPECT_FALSE(std::filesystem::exists(file));
  EXPECT_FALSE(SharedSecret::make("/proc/no/such/folder").ok());
}

class StrangersTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const int socket = listen_at({std::string(kLoopback), "0"}).value();
    address_ = {std::string(kLoopback), fmt::format("{}", port_of(socket).value())};
    ::close(socket);
  }
  int connect() const { return try_to_connect(address_, std::chrono::milliseconds(1000)).value(); }
  Node node(int index, JobSecret secret = {std::string(kSecret), {}}) const {
    return {.first_rank = index,
            .ranks = 1,
            .world = 2,
            .address = address_.host + ":" + address_.port,
            .secret = std::move(secret),
            .connect = 20};
  }
  // Connects in each of the ways that strangers have, `count` times.
  void flood(int count) const {
    std::vector<int> kept;
    std::string recorded;
    for (int i = 0; i < count; ++i) {
      const int socket = connect();
      if (socket < 0) break;  // all ranks have come, and the port is closed
      (void)kStrangers[static_cast<size_t>(i) % std::size(kStrangers)](socket, recorded);
      kept.push_back(socket);
      if (kept.size() < 200) continue;
      for (const int one : kept) ::close(one);
      kept.clear();
    }
    for (const int one : kept) ::close(one);
  }

  using Stranger = bool (*)(int socket, std::string& recorded);
  static bool send_raw(int socket, std::string_view bytes) {
    return ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL) == std::ssize(bytes);
  }
  static bool silent(int, std::string&) { return true; }
  static bool slow(int socket, std::string&) { return send_raw(socket, std::string(3, '\0')); }
  static bool other_protocol(int socket, std::string&) {
    return send_raw(socket, "GET / HTTP/1.1\r\nHost: braid\r\n\r\n");
  }
  static bool huge(int socket, std::string&) {
    const MessageHeader header{.kind = static_cast<uint32_t>(MessageKind::hello),
                               .bytes = uint64_t{1} << 60};
    return send_raw(socket, {reinterpret_cast<const char*>(&header), sizeof(header)});
  }
  static bool wrong_secret(int socket, std::string&) {
    const auto challenge = receive_message(socket);
    if (!challenge.ok()) return false;
    return send_message(socket, MessageKind::hello,
                        make_hello(kRank, challenge->bytes, random_bytes(32), "not the secret"))
        .ok();
  }
  // The first one's words, which were right for another challenge, over and over.
  static bool right_hello_twice(int socket, std::string& recorded) {
    const auto challenge = receive_message(socket);
    if (!challenge.ok()) return false;
    if (recorded.empty()) {
      recorded = make_hello(kRank, make_challenge(), random_bytes(32), kSecret);
    }
    return send_message(socket, MessageKind::hello, recorded).ok();
  }
  static constexpr Stranger kStrangers[] = {silent, slow,         other_protocol,
                                            huge,   wrong_secret, right_hello_twice};
  HostPort address_;
};

TEST_F(StrangersTest, EachIsDroppedInTime) {
  Listener listener = Listener::open(address_, std::string(kSecret)).value();
  for (const Stranger stranger : {other_protocol, huge}) {
    const int socket = connect();
    ASSERT_GE(socket, 0);
    std::string recorded;
    EXPECT_TRUE(stranger(socket, recorded));
    const int64_t before = listener.turned_away();
    for (int i = 0; i < 100 && listener.turned_away() == before; ++i) {
      EXPECT_TRUE(listener.look().empty());
      ::usleep(1000);
    }
    EXPECT_EQ(listener.turned_away(), before + 1);
    ::close(socket);
  }
  const int socket = connect();
  const auto start = std::chrono::steady_clock::now();
  while (listener.turned_away() < 3) {
    EXPECT_TRUE(listener.look().empty());
    ::usleep(1000);
  }
  const auto took = std::chrono::steady_clock::now() - start;
  EXPECT_GE(took, Listener::kProofTime - std::chrono::seconds(1));
  EXPECT_LT(took, Listener::kProofTime + std::chrono::seconds(2));
  ::close(socket);
}

TEST_F(StrangersTest, FewAreHeldAtATime) {
  Listener listener = Listener::open(address_, std::string(kSecret)).value();
  std::vector<int> sockets;
  for (int i = 0; i < 300; ++i) {
    sockets.push_back(connect());
    EXPECT_TRUE(listener.look().empty());
  }
  std::vector<pollfd> waiting;
  listener.add_to(waiting);
  EXPECT_LE(waiting.size(), Listener::kMostUnproven + 1);
  EXPECT_GE(listener.turned_away(), 300 - static_cast<int64_t>(Listener::kMostUnproven));
  for (const int socket : sockets) ::close(socket);
}

// 10,000 of every sort while two nodes meet; the second comes when the flood is at its height.
TEST_F(StrangersTest, DoNotKeepARankFromComing) {
  const int count = std::getenv("BRAID_LONG") != nullptr ? 10'000 : 1200;
  const RankBody body = [](ControlPlane& control) -> Status {
    for (int i = 0; i < 20; ++i) TRY(control.barrier());
    control.conclude("met");
    return {};
  };
  const pid_t other = ::fork();
  if (other == 0) {
    const pid_t strangers = ::fork();
    if (strangers == 0) {
      while (connect() < 0) ::usleep(1000);
      flood(count);
      ::_exit(0);
    }
    ::usleep(300'000);
    const auto start = std::chrono::steady_clock::now();
    const bool ok = run_node(node(1), body).ok();
    const bool soon = std::chrono::steady_clock::now() - start < std::chrono::seconds(2);
    ::kill(strangers, SIGKILL);
    ::waitpid(strangers, nullptr, 0);
    ::_exit(ok ? (soon ? 0 : 2) : 1);
  }
  const auto ended = run_node(node(0), body);
  int status = 0;
  ::waitpid(other, &status, 0);
  ASSERT_TRUE(ended.ok()) << ended.status().to_string();
  EXPECT_EQ(ended->outcome, "met");
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0) << "2: late";
}

TEST_F(StrangersTest, NodesWithDifferentSecretsSaySo) {
  const pid_t first = ::fork();
  if (first == 0) {
    Node alone = node(0);
    alone.connect = 2;
    ::_exit(run_node(alone, [](ControlPlane& c) { return c.barrier(); }).ok() ? 1 : 0);
  }
  const auto refused = run_node(node(1, {"quite another secret", {}}),
                                [](ControlPlane& control) { return control.barrier(); });
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.status().to_string().find("another secret"), std::string::npos)
      << refused.status().to_string();
  int status = 0;
  ::waitpid(first, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

// Also where an earlier job has left a file behind that is no longer right.
TEST_F(StrangersTest, ASharedFolderIsEnough) {
  const TempFolder folder;
  const JobSecret secret{{}, folder.file("job")};
  { std::ofstream(secret.shared_file) << std::string(64, 'x'); }
  std::filesystem::permissions(secret.shared_file, std::filesystem::perms(0600));
  const RankBody body = [](ControlPlane& control) { return control.barrier(); };
  const pid_t other = ::fork();
  if (other == 0) ::_exit(run_node(node(1, secret), body).ok() ? 0 : 1);
  ::usleep(200'000);
  const auto ended = run_node(node(0, secret), body);
  EXPECT_TRUE(ended.ok()) << ended.status().to_string();
  int status = 0;
  ::waitpid(other, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_FALSE(std::filesystem::exists(secret.shared_file));
}

}  // namespace
}  // namespace braid::comm
