// Commands on several ranks.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "model/safetensors.h"
#include "support/checkpoint_copy.h"
#include "support/command.h"
#include "support/models.h"

namespace braid::testing {
namespace {

using Words = std::vector<std::string>;

Words with(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

TEST(CliRanksTest, GenerateSaysTheSameOnAllLayouts) {
  const Words words = {
      "generate", fairytale_folder(), "--prompt", "Once upon a time", "--max-tokens",
      "16",       "--temperature",    "0"};
  const Ran one = run_braid(words);
  ASSERT_EQ(one.code, 0) << one.err;
  for (const Words& layout : {Words{"--tp", "2"}, Words{"--tp-size", "4", "--ep-size", "2"},
                              Words{"--tensor-parallel-size", "4", "--expert-parallel-size", "4"},
                              Words{"--tp", "2", "--overlap-chunks", "2"}, Words{"--dp", "2"},
                              Words{"--tp", "2", "--dp-size", "2", "--ep", "2"},
                              Words{"--tp", "4", "--dp", "2", "--enable-dp-attention"}}) {
    const Ran several = run_braid(with(words, layout));
    ASSERT_EQ(several.code, 0) << several.err;
    EXPECT_EQ(several.out, one.out) << layout[1];
  }
}

TEST(CliRanksTest, ExplainPrintsTheLayout) {
  const Words words = {"bench",
                       "latency",
                       golden_folder("glm4_moe"),
                       "--quiet",
                       "--explain",
                       "--tp",
                       "4",
                       "--ep",
                       "2",
                       "--repeats",
                       "1",
                       "--input-len",
                       "256",
                       "--output-len",
                       "2",
                       "--overlap-chunks",
                       "2"};
  const Ran ran = run_braid(words);
  ASSERT_EQ(ran.code, 0) << ran.err;
  for (const char* line :
       {"4 ranks: attention tp 4; experts ep 2 x tp 2", "each KV head on 2 ranks",
        "all lines: 4 ranks", "weights of each rank, alike on all",
        "why is EP slower than TP in decode?",
        "chunk_collectives: 2 chunks, continued, sums and norms once a row (asked for 2; 256 rows "
        "in chunks of 128, 6 reductions)"}) {
    EXPECT_NE(ran.err.find(line), std::string::npos) << line << "\n" << ran.err;
  }
}

// Six sums of 256 rows of 512 bytes over a link of 10 MB/s.
TEST(CliRanksTest, AnEmulatedLinkTakesItsTime) {
  const Words words = {"bench",
                       "latency",
                       golden_folder("glm4_moe"),
                       "--quiet",
                       "--json",
                       "--tp",
                       "2",
                       "--explain",
                       "--repeats",
                       "1",
                       "--input-len",
                       "256",
                       "--output-len",
                       "1"};
  const Ran ran = run_braid(with(words, {"--emulate-link", "10MB/s,20us"}));
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_NE(ran.err.find("emulated: one link a rank of 0.01 GB/s, 20 us a message"),
            std::string::npos)
      << ran.err;
  EXPECT_GT(ran.json()["prefill_seconds"]["median"], 0.0786) << ran.out;
  const Ran alone =
      run_braid({"bench", "latency", golden_folder("glm4_moe"), "--explain", "--repeats", "1",
                 "--input-len", "4", "--output-len", "2", "--emulate-link", "1GB/s,1ms"});
  EXPECT_NE(alone.err.find("no link is emulated: one rank sends nothing"), std::string::npos);
}

TEST(CliRanksTest, VerifyProvesRanksJointlyAndRunsThem) {
  const Ran ran = run_braid({"verify", golden_folder("glm4_moe"), "--tp", "4", "--ep", "2",
                             "--chunked-prefill-size", "512", "--max-running-requests", "2",
                             "--overlap-chunks", "2", "--delays", "2", "--quiet", "--json"});
  ASSERT_EQ(ran.code, 0) << ran.err << ran.out;
  EXPECT_EQ(ran.json()["equal_runs"], 2);
  EXPECT_EQ(ran.json()["findings"].size(), 0u);
  EXPECT_GT(ran.json()["collectives"], 6 * 20);
}

TEST(CliRanksTest, VerifyProvesGroupsOfRanks) {
  for (const char* dp : {"2", "4"}) {
    const Ran ran = run_braid({"verify", golden_folder("glm4_moe"), "--tp", "2", "--dp", dp,
                               "--chunked-prefill-size", "64", "--max-running-requests", "4",
                               "--delays", "2", "--quiet", "--json"});
    ASSERT_EQ(ran.code, 0) << ran.err << ran.out;
    EXPECT_EQ(ran.json()["equal_runs"], 2);
    EXPECT_EQ(ran.json()["findings"].size(), 0u);
  }
}

TEST(CliRanksTest, ExplainTellsOfGroups) {
  const Ran ran = run_braid({"bench", "throughput", golden_folder("glm4_moe"), "--quiet",
                             "--explain", "--tp", "4", "--dp", "2", "--enable-dp-attention",
                             "--num-prompts", "5", "--input-len", "9", "--output-len", "3"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  for (const char* line : {"4 ranks: attention dp 2 x tp 2; experts ep 4 x tp 1",
                           "2 groups with requests of their own",
                           "--tp 4 counts the ranks of all 2 groups", "on each of 2 groups"}) {
    EXPECT_NE(ran.err.find(line), std::string::npos) << line << "\n" << ran.err;
  }
}

TEST(CliRanksTest, RowsAreSentWhereThatMovesFewerBytes) {
  const Words words = {"bench",
                       "throughput",
                       golden_folder("mixtral"),
                       "--quiet",
                       "--explain",
                       "--input-len",
                       "9",
                       "--output-len",
                       "2",
                       "--dp",
                       "4",
                       "--ep",
                       "4",
                       "--num-prompts",
                       "4"};
  const Ran sent = run_braid(words);
  ASSERT_EQ(sent.code, 0) << sent.err;
  EXPECT_NE(sent.err.find("dispatch: all-to-all (auto: a row goes to 2 of 4 ranks at most"),
            std::string::npos)
      << sent.err;
  const Ran gathered = run_braid(with(words, {"--dispatch", "gather"}));
  EXPECT_NE(gathered.err.find("dispatch: gather (asked for)"), std::string::npos);
  const Ran refused = run_braid(with(words, {"--tp", "2", "--dispatch", "all-to-all"}));
  EXPECT_EQ(refused.code, 2);
  EXPECT_NE(refused.err.find("ranks along tp have copies of the same rows"), std::string::npos)
      << refused.err;
}

TEST(CliRanksTest, VerifyProvesSentRows) {
  const Ran ran =
      run_braid({"verify", golden_folder("glm4_moe"), "--dp", "4", "--dispatch", "all-to-all",
                 "--dispatch-dtype", "nvfp4", "--chunked-prefill-size", "64",
                 "--max-running-requests", "4", "--delays", "1", "--quiet", "--json"});
  ASSERT_EQ(ran.code, 0) << ran.err << ran.out;
  EXPECT_EQ(ran.json()["equal_runs"], 1);
  EXPECT_EQ(ran.json()["findings"].size(), 0u);
}

TEST(CliRanksTest, VerifyProvesQuantizedRows) {
  const Ran ran = run_braid({"verify", golden_folder("glm4_moe"), "--tp", "2", "--dp", "2",
                             "--dispatch-dtype", "fp8", "--chunked-prefill-size", "64",
                             "--max-running-requests", "4", "--delays", "1", "--quiet", "--json"});
  ASSERT_EQ(ran.code, 0) << ran.err << ran.out;
  EXPECT_EQ(ran.json()["equal_runs"], 1);
  EXPECT_EQ(ran.json()["findings"].size(), 0u);
}

TEST(CliRanksTest, QuantizedRowsAreToldWithTheirError) {
  const Words words = {"bench",
                       "throughput",
                       golden_folder("glm4_moe"),
                       "--quiet",
                       "--dp",
                       "2",
                       "--num-prompts",
                       "4",
                       "--input-len",
                       "40",
                       "--output-len",
                       "2"};
  const Ran nvfp4 = run_braid(with(words, {"--dispatch-dtype", "nvfp4", "--explain", "--json"}));
  ASSERT_EQ(nvfp4.code, 0) << nvfp4.err;
  for (const char* line : {"quantize_dispatch: nvfp4 (asked for; 74 bytes a row for 512, changes "
                           "results); predicted: unquantized ",
                           "relative error of dispatched rows "}) {
    EXPECT_NE(nvfp4.err.find(line), std::string::npos) << line << "\n" << nvfp4.err;
  }
  EXPECT_NEAR(nvfp4.json()["dispatch_relative_error"].get<double>(), 0.095, 0.02);
  const Ran plain = run_braid(with(words, {"--explain", "--json"}));
  EXPECT_NE(plain.err.find("quantize_dispatch: unquantized (auto: rows of 2 ranks"),
            std::string::npos);
  EXPECT_EQ(plain.err.find("relative error"), std::string::npos);
  EXPECT_FALSE(plain.json().contains("dispatch_relative_error"));
  const Ran slow = run_braid(with(words, {"--explain", "--emulate-link", "20MB/s,1us"}));
  EXPECT_NE(slow.err.find("quantize_dispatch: fp8 (auto: rows of 2 ranks"), std::string::npos)
      << slow.err;
}

TEST(CliRanksTest, EvalForcesRoutingOnAllRanks) {
  const std::string folder = make_temp_folder();
  std::ofstream(folder + "/ids.json") << "[5, 17, 300, 4, 5, 6, 77, 42]";
  const auto eval = [&](const std::string& output, const Words& more) {
    return run_braid(with({"eval", "logits", golden_folder("qwen3_moe"), "--quiet", "--input-ids",
                           folder + "/ids.json", "--output", folder + "/" + output},
                          more));
  };
  const auto logits = [&](const std::string& file) {
    const auto opened = model::SafetensorsFile::open(folder + "/" + file);
    const model::StoredTensor* stored = opened->find("logits");
    std::vector<float> values(static_cast<size_t>(stored->bytes) / sizeof(float));
    BRAID_CHECK(stored->read(0, std::as_writable_bytes(std::span(values))).ok(), "({})", file);
    return values;
  };
  ASSERT_EQ(eval("one", {"--with-routing"}).code, 0);
  for (const Words& layout : {Words{"--tp", "2", "--ep", "2"}, Words{"--tp", "2", "--dp", "2"}}) {
    ASSERT_EQ(eval("two", with({"--force-routing", folder + "/one"}, layout)).code, 0);
    const std::vector<float> one = logits("one"), two = logits("two");
    ASSERT_EQ(one.size(), two.size());
    for (size_t i = 0; i < one.size(); ++i) ASSERT_NEAR(one[i], two[i], 1e-4);
  }
  std::filesystem::remove_all(folder);
}

TEST(CliRanksTest, TracesHaveATrackARankAndLane) {
  const std::string folder = make_temp_folder();
  const Ran ran =
      run_braid({"bench", "latency", golden_folder("mixtral"), "--quiet", "--tp", "2", "--repeats",
                 "1", "--input-len", "4", "--output-len", "2", "--trace", folder + "/trace.json"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json trace = read_json_file(folder + "/trace.json").value();
  std::map<int, int> reduces;  // by rank
  for (const Json& event : trace["traceEvents"]) {
    if (event["name"] == "all_reduce") {
      ++reduces[event["pid"].get<int>()];
      EXPECT_EQ(event["tid"], static_cast<int>(flow::Lane::comm));
    }
  }
  EXPECT_EQ(reduces.size(), 2u);
  EXPECT_EQ(reduces[0], reduces[1]);
  EXPECT_GT(reduces[0], 0);
  std::filesystem::remove_all(folder);
}

TEST(CliRanksTest, GenerateSaysTheSameWithReplicas) {
  const std::string folder = make_temp_folder();
  const experts::PlacementSizes sizes = experts::make_sizes(4, 16, 2, 4).value();
  ASSERT_TRUE(experts::ExpertPlacement::standard(sizes).save(folder + "/placement.json").ok());
  const Words words = {
      "generate", fairytale_folder(), "--prompt", "Once upon a time", "--max-tokens",
      "16",       "--temperature",    "0",        "--explain"};
  const Ran one = run_braid(words);
  const Ran asked = run_braid(with(words, {"--tp", "2", "--ep", "2", "--redundant-experts", "4"}));
  const Ran given =
      run_braid(with(words, {"--dp", "2", "--expert-placement", folder + "/placement.json"}));
  ASSERT_EQ(asked.code, 0) << asked.err;
  ASSERT_EQ(given.code, 0) << given.err;
  EXPECT_EQ(asked.out, one.out);
  EXPECT_EQ(given.out, one.out);
  for (const char* line : {"expert slots a rank: 10; 20 in all for 16 experts, as asked for",
                           "1 of 2: 10 11 12 13 14 15 0 1 2 3", "replica t mod their number"}) {
    EXPECT_NE(asked.err.find(line), std::string::npos) << line << "\n" << asked.err;
  }
  EXPECT_NE(given.err.find("placement.json says"), std::string::npos) << given.err;
  std::filesystem::remove_all(folder);
}

TEST(CliRanksTest, RefusesPlacementsThatDontFit) {
  const std::string folder = make_temp_folder();
  const std::string path = folder + "/placement.json";
  const auto refused = [&](const std::string& golden, const Words& more) {
    const Ran ran = run_braid(with({"verify", golden_folder(golden), "--quiet"}, more));
    EXPECT_NE(ran.code, 0);
    return ran.err;
  };
  const auto expect = [](const std::string& error, const std::string& part) {
    EXPECT_NE(error.find(part), std::string::npos) << error;
  };
  expect(refused("glm4_moe", {"--redundant-experts", "4"}), "Use --ep 2 or more");
  expect(refused("glm4_moe", {"--tp", "4", "--ep", "4", "--redundant-experts", "5"}),
         "The nearest number is --redundant-experts 4.");
  expect(refused("qwen2", {"--redundant-experts", "2"}), "the model has none");
  const auto save = [&](int32_t layers, int32_t experts, int32_t ranks, int32_t redundant) {
    const auto sizes = experts::make_sizes(layers, experts, ranks, redundant).value();
    EXPECT_TRUE(experts::ExpertPlacement::standard(sizes).save(path).ok());
  };
  const Words with_file = {"--tp", "2", "--ep", "2", "--expert-placement", path};
  expect(refused("glm4_moe", with_file), "cannot open file");
  save(2, 16, 4, 4);
  expect(refused("glm4_moe", with_file), "Use --ep 4 --redundant-experts 4");
  save(3, 16, 2, 0);
  expect(refused("glm4_moe", with_file), "Give a placement that was made for this model.");
  save(2, 16, 2, 2);
  expect(refused("glm4_moe", with({"--redundant-experts", "4"}, with_file)),
         "made for another model or layout");
  expect(refused("glm4_moe", {"--expert-placement", path}), "Use --ep 2 or more");
  std::ofstream(path) << "{\"format\": 1}";
  expect(refused("glm4_moe", with_file), "not a file of this kind");
  std::filesystem::remove_all(folder);
}

TEST(CliRanksTest, VerifyProvesRanksWithReplicas) {
  const Ran ran = run_braid({"verify", golden_folder("glm4_moe"), "--tp", "2", "--dp", "2",
                             "--redundant-experts", "4", "--chunked-prefill-size", "64",
                             "--max-running-requests", "4", "--delays", "2", "--quiet", "--json"});
  ASSERT_EQ(ran.code, 0) << ran.err << ran.out;
  EXPECT_EQ(ran.json()["equal_runs"], 2);
  EXPECT_EQ(ran.json()["findings"].size(), 0u);
}

TEST(CliRanksTest, RefusesLayoutsAndNamesWithTheirRemedy) {
  const auto refused = [](const Words& more) {
    const Ran ran = run_braid(with({"generate", golden_folder("qwen2"), "--prompt", "x"}, more));
    EXPECT_EQ(ran.code, 2);
    return ran.err;
  };
  EXPECT_NE(refused({"--tp", "3"}).find("--tp 4 --ep 1"), std::string::npos);
  EXPECT_NE(refused({"--tp", "2", "--ep", "2"}).find("model without experts"), std::string::npos);
  EXPECT_NE(refused({"--overlap-chunks", "1"}).find("auto, off, or a number"), std::string::npos);
  EXPECT_NE(refused({"--enable-ep-moe"}).find("--ep N"), std::string::npos);
  EXPECT_NE(refused({"--dp", "2"}).find("dp is 1 for a model without experts"), std::string::npos);
  EXPECT_NE(refused({"--dp", "2", "--tp", "3", "--enable-dp-attention"}).find("must divide it"),
            std::string::npos);
  EXPECT_NE(refused({"--pp", "2"}).find("--tp, --ep and --dp"), std::string::npos);
}

}  // namespace
}  // namespace braid::testing
