// What can be seen of ranks that are processes is what can be seen of threads.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <set>

#include "base/json.h"
#include "base/temp_folder.h"
#include "support/models.h"
#include "support/shell.h"

namespace braid::testing {
namespace {

const std::array<std::string, 3> kLayouts = {"--tp 2", "--dp 2", "--tp 2 --dp 2 --ep 2"};

class CliRankViewsTest : public ::testing::Test {
 protected:
  // What a command writes to stdout where ranks are threads or processes; it must succeed.
  static std::string run(const std::string& words, const std::string& ranks) {
    const Shell ran = shell(braid(fmt::format("{} --quiet --cpu-ranks {}", words, ranks)));
    EXPECT_EQ(ran.code, 0) << words << "\n" << ran.out;
    return ran.out;
  }
  std::string file(const std::string& name) const { return folder_.file(name); }
  std::string bytes(const std::string& name) const { return read_file(file(name)).value(); }

  TempFolder folder_;
};

TEST_F(CliRankViewsTest, RoutingIsWrittenAndForced) {
  folder_.write("ids.json", "[1, 5, 9, 200, 33, 47, 1000, 18, 77, 3, 4, 90]");
  for (const std::string& layout : kLayouts) {
    const auto eval = [&](const std::string& ranks, const std::string& output, const char* more) {
      run(fmt::format("eval logits {} --input-ids {} --output {} {} {} --chunked-prefill-size 5",
                      fairytale_folder(), file("ids.json"), file(output), layout, more),
          ranks);
      return bytes(output);
    };
    const std::string threads = eval("thread", "threads", "--with-routing");
    EXPECT_TRUE(eval("process", "processes", "--with-routing") == threads) << layout;
    EXPECT_NE(threads.find("experts.4"), std::string::npos);
    // Another model's experts.
    run(fmt::format("eval logits {} --input-ids {} --output {} --with-routing --load-format dummy",
                    fairytale_folder(), file("ids.json"), file("others")),
        "thread");
    const std::string more = "--with-routing --force-routing " + file("others");
    const std::string forced = eval("thread", "threads", more.c_str());
    EXPECT_TRUE(eval("process", "processes", more.c_str()) == forced) << layout;
    EXPECT_FALSE(forced == threads) << layout;
  }
}

TEST_F(CliRankViewsTest, PerplexityAndBalanceAreThoseOfThreads) {
  const std::string text = BRAID_SOURCE_DIR "/tests/data/tales/three_lamps.txt";
  for (const std::string& layout : kLayouts) {
    const std::string perplexity =
        fmt::format("eval perplexity {} --text {} --max-tokens 100 --window 30 --json {}",
                    fairytale_folder(), text, layout);
    EXPECT_EQ(run(perplexity, "process"), run(perplexity, "thread"));
    const auto balance = [&](const std::string& ranks) {
      return run(fmt::format("eval balance {} --text {} --max-tokens 100 --window 30 --output-len "
                             "5 --heat-window 3 --json --heat-output {} {}",
                             fairytale_folder(), text, file(ranks), layout),
                 ranks);
    };
    const std::string threads = balance("thread");
    EXPECT_EQ(balance("process"), threads);
    EXPECT_EQ(bytes("process"), bytes("thread"));
    EXPECT_GT(bytes("thread").size(), 500u);
  }
}

TEST_F(CliRankViewsTest, TracesHoldAllRanks) {
  const std::string words =
      fmt::format("generate {} --prompt 'Once upon a time' --max-tokens 3 --tp 2 --dp 2 --trace {}",
                  fairytale_folder(), file("trace.json"));
  std::map<std::string, std::map<int64_t, int64_t>> events;  // by rank
  for (const char* ranks : {"thread", "process"}) {
    run(words, ranks);
    const Json trace = read_json_file(file("trace.json")).value();
    for (const Json& event : trace["traceEvents"]) {
      if (event["ph"] == "X") ++events[ranks][event["pid"].get<int64_t>()];
    }
  }
  EXPECT_EQ(events["thread"].size(), 4u);
  EXPECT_EQ(events["process"], events["thread"]);
}

TEST_F(CliRankViewsTest, ErrorsOfDispatchedRowsAreThoseOfAllGroups) {
  const std::string words = fmt::format(
      "eval perplexity {} --text {} --max-tokens 100 --window 30 --json --dp 2 --dispatch-dtype "
      "fp8",
      fairytale_folder(), BRAID_SOURCE_DIR "/tests/data/tales/three_lamps.txt");
  const std::string threads = run(words, "thread");
  EXPECT_NE(threads.find("dispatch_relative_error"), std::string::npos) << threads;
  EXPECT_EQ(run(words, "process"), threads);
}

TEST_F(CliRankViewsTest, VerifyRunsOnThem) {
  const std::string words = fmt::format(
      "verify {} --load-format dummy --max-running-requests 2 --chunked-prefill-size 8 --json",
      golden_folder("glm4_moe"));
  for (const std::string& layout : kLayouts) {
    const auto verified = [&](const std::string& ranks, const std::string& more) {
      const std::string out = run(fmt::format("{} {} {}", words, layout, more), ranks);
      Json json = parse_json(out, "result").value();
      json.erase("slowest_us");
      return json;
    };
    for (const char* runs : {"", "--delays 2"}) {
      const Json threads = verified("thread", runs);
      EXPECT_EQ(verified("process", runs), threads) << layout;
      EXPECT_EQ(threads["equal_runs"], *runs == '\0' ? 0 : 2);
    }
  }
}

}  // namespace
}  // namespace braid::testing
