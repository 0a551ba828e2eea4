// braid eval balance, end to end.
#include <gtest/gtest.h>

#include <numeric>

#include "base/temp_folder.h"
#include "support/command.h"
#include "support/models.h"
#include "text/tokenizer.h"

namespace braid::testing {
namespace {

// About 110 tokens.
const std::string kText =
    "Once upon a time there was a little fox who lived at the edge of a wide, dark wood. Every "
    "morning she ran to the brook to drink, and every evening she came home and told the owl what "
    "she had seen. One day the brook was dry. The fox asked the owl, and the owl asked the moon, "
    "but the moon only smiled and said nothing at all, as she always did.";

class CliBalanceTest : public ::testing::Test {
 protected:
  CliBalanceTest() { folder_.write("text.txt", kText); }

  // eval balance of the text in pieces of 30 tokens with 5 tokens behind each.
  Ran run(std::vector<std::string> more) const {
    more.insert(more.begin(),
                {"eval", "balance", fairytale_folder(), "--text", folder_.file("text.txt"),
                 "--window", "30", "--output-len", "5", "--heat-window", "4"});
    return run_braid(more);
  }
  static int64_t text_tokens() {
    const auto tokenizer = text::Tokenizer::load(fairytale_folder()).value();
    return std::ssize(tokenizer.encode(kText, false).value());
  }

  TempFolder folder_;
};

int64_t sum(const Json& json) {
  if (json.is_number()) return json.get<int64_t>();
  return std::accumulate(json.begin(), json.end(), int64_t{0},
                         [](int64_t total, const Json& part) { return total + sum(part); });
}

TEST_F(CliBalanceTest, WritesTheCountsOfEveryWindowPhaseLayerAndGroup) {
  const std::string file = folder_.file("heat.json");
  const Ran ran = run({"--tp", "2", "--dp", "2", "--json", "--heat-output", file});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json heat = parse_json(read_file(file).value(), file).value();
  EXPECT_EQ(heat["format"], "braid.expert_heat.v1");
  EXPECT_EQ(heat["layers"], Json({1, 2, 3, 4}));
  EXPECT_EQ(heat["groups"], 2);
  EXPECT_EQ(heat["experts"], 16);
  EXPECT_EQ(ran.json()["ranks"], 4);
  const int64_t tokens = text_tokens();
  const int64_t pieces = (tokens + 29) / 30;
  ASSERT_GT(pieces, 2);
  std::map<std::string, int64_t> rows;
  int64_t next = 1;
  for (const Json& window : heat["windows"]) {
    EXPECT_EQ(window["first_step"], next);
    next = window["last_step"].get<int64_t>() + 1;
    for (const char* phase : {"decode", "prefill"}) {
      rows[phase] += window[phase]["rows"].get<int64_t>();
      ASSERT_EQ(window[phase]["heat"].size(), 4u);
      for (const Json& layer : window[phase]["heat"]) {
        ASSERT_EQ(layer.size(), 2u);
        EXPECT_EQ(layer[0].size(), 16u);
        EXPECT_EQ(sum(layer), 4 * window[phase]["rows"].get<int64_t>());  // 4 experts a token
      }
    }
  }
  EXPECT_EQ(rows["prefill"], tokens);
  EXPECT_EQ(rows["decode"], 4 * pieces);  // the last token of an answer isn't computed
  EXPECT_EQ(ran.json()["prefill"]["rows"], tokens);
  EXPECT_EQ(ran.json()["decode"]["rows"], 4 * pieces);
  EXPECT_EQ(ran.json()["decode"]["windows"].size(), heat["windows"].size());
}

// Balancedness from the counts in the file, computed here.
TEST_F(CliBalanceTest, BalancednessIsMeanOverBusiestRankOfAllLayers) {
  const std::string file = folder_.file("heat.json");
  const Ran ran = run({"--tp", "2", "--ep", "2", "--json", "--heat-output", file});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json heat = parse_json(read_file(file).value(), file).value();
  double mean = 0, busiest = 0;
  for (size_t layer = 0; layer < 4; ++layer) {
    std::array<double, 2> ranks = {};
    for (const Json& window : heat["windows"]) {
      for (size_t e = 0; e < 16; ++e) {
        ranks[e / 8] += window["prefill"]["heat"][layer][0][e].get<double>();
      }
    }
    mean += (ranks[0] + ranks[1]) / 2;
    busiest += std::max(ranks[0], ranks[1]);
    EXPECT_EQ(ran.json()["prefill"]["layers"][layer]["busiest_rank"], std::max(ranks[0], ranks[1]));
  }
  EXPECT_NEAR(ran.json()["prefill"]["balancedness"].get<double>(), mean / busiest, 1e-12);
  EXPECT_LT(mean / busiest, 0.999);
}

TEST_F(CliBalanceTest, PopularExpertsShow) {
  const auto balancedness = [&](const char* routing) {
    const Ran ran =
        run({"--tp", "2", "--ep", "2", "--json", "--load-format", "dummy", "--routing", routing});
    EXPECT_EQ(ran.code, 0) << ran.err;
    return ran.json()["prefill"]["balancedness"].get<double>();
  };
  EXPECT_GT(balancedness("balanced"), 0.95);
  const double mild = balancedness("zipf:0.5");
  const double strong = balancedness("zipf:2");
  EXPECT_LT(mild, 0.9);
  EXPECT_LT(strong, mild - 0.1);
}

TEST_F(CliBalanceTest, PrintsWindowsLayersAndTheWorst) {
  const Ran ran = run({"--tp", "2", "--ep", "2", "--explain"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  for (const char* part :
       {"phase             steps      rows  balancedness      worst\n", "decode           recent",
        "prefill             all", "least balanced layers in decode: "}) {
    EXPECT_NE(ran.out.find(part), std::string::npos) << part << "\n" << ran.out;
  }
  EXPECT_NE(ran.err.find("heat: on (auto: wanted here: 4 layers count in routing, a copy of 1024 "
                         "bytes a step)"),
            std::string::npos)
      << ran.err;
  const Ran prefill_only = run({"--output-len", "1"});
  EXPECT_EQ(prefill_only.out.find("decode"), std::string::npos) << prefill_only.out;
}

TEST_F(CliBalanceTest, RefusesWhatCannotBe) {
  const auto refused = [&](const std::vector<std::string>& more, const std::string& why) {
    const Ran ran = run(more);
    EXPECT_EQ(ran.code, 2) << why;
    EXPECT_NE(ran.err.find(why), std::string::npos) << ran.err;
  };
  refused({"--expert-heat", "off"}, "without counting there is nothing to evaluate");
  refused({"--context-length", "34"}, "a piece of the text and its answer do not fit");
  refused({"--heat-output", folder_.file("no/such/folder.json")}, "the heat can't be written");
  refused({"--json-model-override-args", R"({"first_k_dense_replace": 5})"},
          "the model has no experts to balance");
  folder_.write("text.txt", "");
  refused({}, "the text is empty");
}

TEST_F(CliBalanceTest, OtherCommandsCountWhenAskedTo) {
  const auto said = [](std::vector<std::string> more) {
    more.insert(more.begin(), {"bench", "latency", fairytale_folder(), "--input-len", "4",
                               "--output-len", "2", "--repeats", "1", "--explain"});
    return run_braid(more).err;
  };
  EXPECT_NE(said({}).find("heat: off (auto: nothing here reads it)"), std::string::npos);
  EXPECT_NE(said({"--expert-heat", "on"}).find("heat: on (asked for: 4 layers count"),
            std::string::npos);
  EXPECT_NE(said({"--expert-heat", "off"}).find("heat: off (switched off)"), std::string::npos);
}

TEST_F(CliBalanceTest, VerifyProvesStepsThatCount) {
  const Ran ran =
      run_braid({"verify", fairytale_folder(), "--expert-heat", "on", "--tp", "2",
                 "--max-running-requests", "2", "--chunked-prefill-size", "16", "--delays", "2"});
  EXPECT_EQ(ran.code, 0) << ran.err << ran.out;
  EXPECT_NE(ran.out.find("0 findings"), std::string::npos);
}

TEST_F(CliBalanceTest, PlansAPlacementThatRunsLoad) {
  const std::string file = folder_.file("placement.json");
  const Ran planned =
      run({"--tp", "2", "--ep", "2", "--redundant-experts", "4", "--rebalance", file, "--json"});
  ASSERT_EQ(planned.code, 0) << planned.err;
  const Json result = planned.json()["rebalance"];
  EXPECT_EQ(result["redundant"], 4);
  EXPECT_GT(result["moved_slots"], 0);
  EXPECT_GT(result["both"]["after"], result["both"]["before"]);
  EXPECT_GT(result["both"]["after"], 0.97);
  EXPECT_TRUE(result.contains("held_out"));
  // A run by it says the same, and is as even as was planned: replicas take turns by rows.
  const Ran loaded = run({"--tp", "2", "--ep", "2", "--expert-placement", file, "--json"});
  ASSERT_EQ(loaded.code, 0) << loaded.err;
  EXPECT_NEAR(loaded.json()["prefill"]["balancedness"].get<double>(),
              result["prefill"]["after"].get<double>(), 1e-6);
  const auto answer = [](const std::vector<std::string>& more) {
    std::vector<std::string> words = {
        "generate", fairytale_folder(), "--prompt", "One day", "--max-tokens",
        "12",       "--temperature",    "0"};
    words.insert(words.end(), more.begin(), more.end());
    return run_braid(words).out;
  };
  EXPECT_EQ(answer({"--tp", "2", "--ep", "2", "--expert-placement", file}), answer({}));
  const Ran text = run({"--tp", "2", "--ep", "2", "--rebalance", file});
  EXPECT_NE(text.out.find("less a step: pays after"), std::string::npos) << text.out;
  EXPECT_NE(text.out.find("load it with --expert-placement"), std::string::npos) << text.out;
}

// A plan made with one half of a text serves the other half evenly.
TEST_F(CliBalanceTest, HeldOutTextIsServedEvenly) {
  for (const auto& [ranks, redundant] : {std::pair{"2", "4"}, {"4", "8"}}) {
    const Ran ran = run_braid({"eval",
                               "balance",
                               fairytale_folder(),
                               "--text",
                               std::string(BRAID_SOURCE_DIR) + "/LICENSE",
                               "--window",
                               "64",
                               "--output-len",
                               "1",
                               "--heat-window",
                               "1",
                               "--chunked-prefill-size",
                               "256",
                               "--tp",
                               ranks,
                               "--ep",
                               ranks,
                               "--redundant-experts",
                               redundant,
                               "--rebalance",
                               folder_.file("placement.json"),
                               "--json"});
    ASSERT_EQ(ran.code, 0) << ran.err;
    const Json held_out = ran.json()["rebalance"]["held_out"];
    fmt::print("ep {}: {}\n", ranks, held_out.dump());
    EXPECT_GE(held_out["after"], 0.95);
    EXPECT_GT(held_out["after"], held_out["before"]);
  }
}

TEST_F(CliBalanceTest, RefusesToBalanceOnePart) {
  const Ran ran = run({"--tp", "2", "--rebalance", folder_.file("placement.json")});
  EXPECT_EQ(ran.code, 2);
  EXPECT_NE(ran.err.find("Use --ep 2 or more, or leave --rebalance out."), std::string::npos);
}

}  // namespace
}  // namespace braid::testing
