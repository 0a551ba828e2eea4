// Signals and faults at any time, to ranks that are threads or processes, on one host or two: the
// exit code, one line that says the cause, no process left, and all of it within ten seconds.
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <memory>
#include <optional>
#include <random>
#include <thread>

#include "support/models.h"
#include "support/program.h"
#include "support/shell.h"

namespace braid::testing {
namespace {

constexpr std::chrono::seconds kSoon{10};
constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP};

enum class Where { threads, processes, two_hosts };

// A command that runs for long.
std::string command(size_t which) {
  const std::string common = fmt::format("{} --quiet --tp 2 --step-timeout 2", fairytale_folder());
  if (which == 0) {
    return "generate " + common + " --prompt Once --max-tokens 1900 --temperature 1.5";
  }
  return "bench throughput " + common + " --num-prompts 400";
}

// One injection, as the seed has it.
class Injection {
 public:
  explicit Injection(uint64_t seed) : random_(seed) {
    where_ = static_cast<Where>(pick(3));
    words_ = command(pick(2));
    const std::string address = "127.0.0.1:" + free_port();
    const auto node = [&](int index) {
      return braid(
          fmt::format("{} --nnodes 2 --node-rank {} --dist-init-addr {}", words_, index, address));
    };
    if (where_ == Where::threads) {
      first_ = std::make_unique<Program>(braid(words_));
    } else if (where_ == Where::processes) {
      first_ = std::make_unique<Program>(braid(words_ + " --cpu-ranks process"));
    } else {
      first_ = std::make_unique<Program>(node(0));
      second_ = std::make_unique<Program>(node(1));
    }
  }

  void run() {
    const bool signals = where_ == Where::threads || pick(2) == 0;
    Program& target = second_ != nullptr && pick(2) == 0 ? *second_ : *first_;
    // A node that has gone before it came is only missed; one whose ranks are there says so.
    const bool there = second_ == nullptr || second_->wait_for_children(1, kSoon);
    ASSERT_TRUE(there) << second_->err();
    if (signals) {
      std::this_thread::sleep_for(std::chrono::milliseconds(pick(1500)));
      send_signal(target);
    } else {
      harm_a_rank(target);
    }
    EXPECT_TRUE(first_->session().empty()) << name_;
    if (second_ != nullptr) {
      EXPECT_TRUE(second_->session().empty()) << name_;
    }
  }

 private:
  void send_signal(Program& target) {
    const int number = kSignals[pick(3)];
    const bool to_group = pick(2) == 0;
    name_ =
        fmt::format("{} {} signal {} to {} of node {}", static_cast<int>(where_), words_, number,
                    to_group ? "the group" : "the launcher", &target == first_.get() ? 0 : 1);
    const auto start = std::chrono::steady_clock::now();
    to_group ? target.signal_group(number) : target.signal(number);
    expect_ends(128 + number, start);
    for (const Program* program : {first_.get(), second_.get()}) {
      if (program == nullptr) continue;
      EXPECT_EQ(program->err(), "") << name_;
    }
  }

  void harm_a_rank(Program& target) {
    const bool stop = pick(2) == 0;
    const size_t ranks = where_ == Where::processes ? 2 : 1;
    ASSERT_TRUE(target.wait_for_children(ranks, kSoon)) << target.err();
    std::this_thread::sleep_for(std::chrono::milliseconds(pick(1500)));
    const std::vector<pid_t> children = target.children();
    if (children.size() < ranks) return;  // it has ended already
    const size_t index = pick(ranks);
    const size_t rank = &target == second_.get() ? 1 : index;
    name_ = fmt::format("{} {} {} rank {}", static_cast<int>(where_), words_,
                        stop ? "stop" : "kill", rank);
    const auto start = std::chrono::steady_clock::now();
    ::kill(children[index], stop ? SIGSTOP : SIGKILL);
    // A stopped rank is missed by the step's timeout, and two seconds later by its launcher.
    expect_ends(1, start + std::chrono::seconds(stop ? 4 : 0));
    const std::string said = first_->err();
    const std::string line = said.substr(0, said.find('\n'));
    EXPECT_TRUE(line.starts_with(fmt::format("braid: error: rank {}", rank))) << name_ << said;
    EXPECT_LE(line.size(), 100u) << name_ << said;
    EXPECT_EQ(said.find("braid: error:", 1), said.npos) << name_ << said;
  }

  void expect_ends(int code, std::chrono::steady_clock::time_point start) {
    for (Program* program : {first_.get(), second_.get()}) {
      if (program == nullptr) continue;
      EXPECT_EQ(program->wait(kSoon + std::chrono::seconds(5)), code)
          << name_ << " node " << (program == first_.get() ? 0 : 1) << "\n"
          << program->err();
    }
    EXPECT_LT(std::chrono::steady_clock::now() - start, kSoon) << name_;
  }

  size_t pick(size_t count) { return random_() % count; }

  std::mt19937_64 random_;
  Where where_ = Where::threads;
  std::string words_, name_;
  std::unique_ptr<Program> first_, second_;
};

class SignalsTest : public ::testing::TestWithParam<uint64_t> {};

// A few always; 200 in the long tests.
TEST_P(SignalsTest, EndAllQuietlyAndSoon) {
  const bool whole = std::getenv("BRAID_LONG") != nullptr;
  for (uint64_t i = 0; i < (whole ? 25 : 2); ++i) {
    Injection(100 * GetParam() + i).run();
    if (HasFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, SignalsTest, ::testing::Range(uint64_t{1}, uint64_t{9}));

// The first child is rank 0, before it has loaded anything.
TEST(SignalTest, ARankThatIsStoppedAtItsStartIsMissed) {
  Program program(braid(command(0) + " --cpu-ranks process"));
  ASSERT_TRUE(program.wait_for_children(1, kSoon));
  ::kill(program.children().front(), SIGSTOP);
  EXPECT_EQ(program.wait(std::chrono::seconds(15)), 1);
  EXPECT_TRUE(program.err().starts_with("braid: error: rank 0 is stopped")) << program.err();
  EXPECT_TRUE(program.session().empty());
}

TEST(SignalTest, ALauncherThatIsKilledLeavesNobody) {
  Program program(braid(command(0) + " --cpu-ranks process"));
  ASSERT_TRUE(program.wait_for_children(2, kSoon));
  program.signal(SIGKILL);
  EXPECT_EQ(program.wait(kSoon), 128 + SIGKILL);
  for (int i = 0; i < 200 && !program.session().empty(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_TRUE(program.session().empty());
}

// As nohup(1) starts it.
TEST(SignalTest, AnIgnoredHangUpStaysIgnored) {
  Program program("nohup " + braid(fmt::format("generate {} --prompt Once --max-tokens 300 --quiet "
                                               "--tp 2 --cpu-ranks process",
                                               fairytale_folder())));
  ASSERT_TRUE(program.wait_for_children(2, kSoon));
  program.signal_group(SIGHUP);
  EXPECT_EQ(program.wait(std::chrono::seconds(60)), 0) << program.err();
}

}  // namespace
}  // namespace braid::testing
