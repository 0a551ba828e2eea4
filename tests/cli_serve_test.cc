// braid serve as a program: it starts, answers, and ends as it is told to, with ranks as threads
// and as processes.
#include <gtest/gtest.h>

#include <csignal>
#include <thread>

#include "server/socket_test_util.h"
#include "support/models.h"
#include "support/program.h"
#include "support/shell.h"

namespace braid::testing {
namespace {

using server::testing::RawClient;
constexpr std::chrono::seconds kSoon{30};

// A server of the bundled model, on a port that was free.
class Serving {
 public:
  explicit Serving(const std::string& more = {})
      : port_(free_port()),
        program_(
            braid(fmt::format("serve {} --port {} --served-model-name tale --max-running-requests "
                              "8 --kv-blocks 512 --step-timeout 5 {}",
                              fairytale_folder(), port_, more))) {}

  Program& program() { return program_; }
  int port() const { return std::stoi(port_); }
  RawClient::Answer ask(const std::string& method, const std::string& path,
                        const std::string& body = {}) const {
    RawClient client(port());
    if (!client.connected()) return {};
    client.send(
        fmt::format("{} {} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                    "Content-Length: {}\r\n\r\n{}",
                    method, path, body.size(), body));
    return client.read_answer();
  }
  bool wait_until_ready() const {
    for (int i = 0; i < 3000 && ask("GET", "/health").status != 200; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return ask("GET", "/health").status == 200;
  }

 private:
  std::string port_;
  Program program_;
};

const std::string kLong =
    R"({"prompt": "Once upon a time", "max_tokens": 400, "ignore_eos": true, "stream": true})";

TEST(CliServeTest, AnswersAndDrains) {
  for (const char* ranks : {"", "--tp 2", "--tp 2 --cpu-ranks process"}) {
    SCOPED_TRACE(ranks);
    Serving serving(ranks);
    ASSERT_TRUE(serving.wait_until_ready()) << serving.program().err();
    const auto answer = serving.ask("POST", "/v1/completions", R"({"prompt": "Once"})");
    EXPECT_EQ(answer.status, 200) << answer.body;
    EXPECT_EQ(answer.json()["model"], "tale");
    EXPECT_EQ(serving.ask("GET", "/server_info").json()["options"]["kv-blocks"]["value"], "512");
    RawClient stream(serving.port());
    stream.send(
        fmt::format("POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Type: "
                    "application/json\r\nContent-Length: {}\r\n\r\n{}",
                    kLong.size(), kLong));
    ASSERT_TRUE(stream.read_until("data: "));
    serving.program().signal(SIGTERM);
    EXPECT_EQ(serving.program().wait(kSoon), 0) << serving.program().err();
    const std::string text = stream.read_answer().body;
    EXPECT_NE(text.find("\"finish_reason\":\"length\""), text.npos);
    EXPECT_TRUE(text.ends_with("data: [DONE]\n\n"));
    EXPECT_TRUE(serving.program().session().empty());
  }
}

TEST(CliServeTest, EndsWhileItLoads) {
  for (const char* ranks : {"", "--tp 2 --cpu-ranks process"}) {
    SCOPED_TRACE(ranks);
    Serving serving(ranks);
    for (int i = 0; i < 1000 && serving.ask("GET", "/health").status == 0; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    serving.program().signal(SIGTERM);
    EXPECT_EQ(serving.program().wait(kSoon), 0) << serving.program().err();
    EXPECT_TRUE(serving.program().session().empty());
  }
}

TEST(CliServeTest, ALostRankEndsIt) {
  for (const bool busy : {false, true}) {
    SCOPED_TRACE(busy);
    Serving serving("--tp 2 --cpu-ranks process");
    ASSERT_TRUE(serving.wait_until_ready()) << serving.program().err();
    RawClient stream(serving.port());
    if (busy) {
      stream.send(
          fmt::format("POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Type: "
                      "application/json\r\nContent-Length: {}\r\n\r\n{}",
                      kLong.size(), kLong));
      ASSERT_TRUE(stream.read_until("data: "));
    }
    ASSERT_EQ(serving.program().children().size(), 2u);
    ::kill(serving.program().children()[1], SIGKILL);
    EXPECT_EQ(serving.program().wait(std::chrono::seconds(10)), 1);
    EXPECT_NE(serving.program().err().find("rank 1"), std::string::npos) << serving.program().err();
    EXPECT_TRUE(serving.program().session().empty());
  }
}

TEST(CliServeTest, APortThatIsTakenIsSaid) {
  Serving first;
  ASSERT_TRUE(first.wait_until_ready()) << first.program().err();
  Program second(braid(fmt::format("serve {} --port {}", fairytale_folder(), first.port())));
  EXPECT_EQ(second.wait(kSoon), 2);
  EXPECT_NE(second.err().find("Address already in use"), std::string::npos) << second.err();
}

// Needs Python with the package openai; BRAID_OPENAI_PYTHON names the interpreter that has it.
TEST(CliServeTest, OpenAIsOwnClient) {
  const char* given = std::getenv("BRAID_OPENAI_PYTHON");
  const std::string python = given != nullptr ? given : "python3";
  if (std::system((python + " -c 'import openai' 2> /dev/null").c_str()) != 0) {
    GTEST_SKIP() << python << " has no package openai";
  }
  Serving serving;
  ASSERT_TRUE(serving.wait_until_ready()) << serving.program().err();
  EXPECT_EQ(std::system(fmt::format("{} {}/tests/clients/openai_client.py http://127.0.0.1:{}/v1",
                                    python, BRAID_SOURCE_DIR, serving.port())
                            .c_str()),
            0);
}

}  // namespace
}  // namespace braid::testing
