// braid bench, braid verify, --trace and --explain, end to end.
#include <gtest/gtest.h>

#include "lab/verification.h"
#include "model/testing.h"
#include "support/command.h"
#include "support/models.h"

namespace braid::testing {
namespace {

// Arguments on a golden model with dummy weights, which is quick to load.
std::vector<std::string> dummy(std::vector<std::string> command,
                               const std::vector<std::string>& more) {
  command.insert(command.end(), {golden_folder("glm4_moe"), "--load-format", "dummy"});
  command.insert(command.end(), more.begin(), more.end());
  return command;
}

TEST(CliBenchTest, ThroughputPrintsTheBox) {
  const Ran ran = run_braid(dummy({"bench", "throughput"},
                                  {"--num-prompts", "5", "--input-len", "7", "--output-len", "3"}));
  ASSERT_EQ(ran.code, 0) << ran.err;
  std::istringstream lines(ran.out);
  std::string line;
  std::getline(lines, line);
  EXPECT_EQ(line, "====== Offline Throughput Benchmark Result =======");
  int count = 1;
  for (; std::getline(lines, line); ++count) EXPECT_EQ(line.size(), 50u) << line;
  EXPECT_EQ(count, 11);
  for (const char* row :
       {"Successful requests:                    5 ", "Total input tokens:                     35 ",
        "Total output tokens:                    15 ",
        "Total tokens:                           50 "}) {
    EXPECT_NE(ran.out.find(row), std::string::npos) << ran.out;
  }
}

TEST(CliBenchTest, ThroughputAsJson) {
  const Ran ran = run_braid(
      dummy({"bench", "throughput"}, {"--num-prompts", "5", "--input-len", "7", "--output-len", "3",
                                      "--routing", "zipf:1.1", "--json"}));
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json json = ran.json();
  EXPECT_EQ(json["successful_requests"], 5);
  EXPECT_EQ(json["total_tokens"], 50);
  EXPECT_EQ(json["dtype"], "float32");
  EXPECT_EQ(json["load_format"], "dummy");
  const double seconds = json["duration_seconds"];
  EXPECT_NEAR(json["output_tokens_per_second"].get<double>() * seconds, 15, 1e-6);
  EXPECT_NEAR(json["total_tokens_per_second"].get<double>() * seconds, 50, 1e-6);
}

TEST(CliBenchTest, LatencyGivesMedianAndSpread) {
  const auto arguments = dummy({"bench", "latency"}, {"--batch-size", "3", "--input-len", "6",
                                                      "--output-len", "4", "--repeats", "5"});
  const Ran text = run_braid(arguments);
  ASSERT_EQ(text.code, 0) << text.err;
  EXPECT_NE(text.out.find("prefill of 3 x 6 tokens: "), std::string::npos) << text.out;
  EXPECT_NE(text.out.find("decode, a token of each request: "), std::string::npos);
  std::vector<std::string> with_json = arguments;
  with_json.push_back("--json");
  const Json json = run_braid(with_json).json();
  for (const char* phase : {"prefill_seconds", "decode_seconds_per_token"}) {
    const Json& spread = json[phase];
    double before = 0;
    for (const char* quantile : {"min", "lower_quartile", "median", "upper_quartile", "max"}) {
      EXPECT_GE(spread[quantile], before) << phase << ' ' << quantile;
      before = spread[quantile];
    }
    EXPECT_GT(before, 0);
  }
  EXPECT_EQ(json["repeats"], 5);
}

TEST(CliBenchTest, OneTokenOfOutputHasNoDecode) {
  const Ran ran = run_braid(dummy(
      {"bench", "latency"}, {"--input-len", "6", "--output-len", "1", "--repeats", "2", "--json"}));
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_TRUE(ran.json()["decode_seconds_per_token"].is_null());
}

TEST(CliBenchTest, LengthsBeyondTheContextAreRefused) {
  const Ran ran = run_braid(dummy({"bench", "latency"}, {"--input-len", "100000"}));
  EXPECT_EQ(ran.code, 2);
  EXPECT_NE(ran.err.find("Lower --input-len or --output-len"), std::string::npos) << ran.err;
}

TEST(CliVerifyTest, ProvesSchedulesAndComparesRuns) {
  const Ran ran = run_braid({"verify", golden_folder("glm4_moe"), "--max-running-requests", "4",
                             "--chunked-prefill-size", "16", "--delays", "2"});
  ASSERT_EQ(ran.code, 0) << ran.err << ran.out;
  EXPECT_NE(ran.out.find("\ndecode 4, prefill 16 "), std::string::npos) << ran.out;
  EXPECT_NE(ran.out.find("18 schedules, "), std::string::npos);
  EXPECT_NE(ran.out.find("2 runs with delays equal to serial execution, 0 findings"),
            std::string::npos);
  EXPECT_NE(ran.out.find("the bound of 5000 µs"), std::string::npos);
}

TEST(CliVerifyTest, AllocatesNothingWithoutDelays) {
  const Ran ran = run_braid({"verify", golden_folder("deepseek_v3"), "--json", "--load-format",
                             "dummy", "--kv-blocks", "100000000",  // far more than there is
                             "--json-model-override-args", R"({"num_hidden_layers": 61})"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.json()["findings"], Json::array());
  EXPECT_GT(ran.json()["pairs"], 10000);
  EXPECT_EQ(ran.json()["equal_runs"], 0);
}

TEST(CliVerifyTest, ExplainPrintsALayerLaneByLane) {
  const std::vector<std::string> arguments = {
      "verify", golden_folder("glm4_moe"), "--explain", "--max-running-requests",
      "1",      "--chunked-prefill-size",  "1"};
  const Ran fused = run_braid(arguments);
  ASSERT_EQ(fused.code, 0) << fused.err;
  EXPECT_NE(fused.out.find("route_experts → grouped_gemm → experts_down → wait(aux gemm)"),
            std::string::npos)
      << fused.out;
  std::vector<std::string> plain = arguments;
  for (const char* pass : {"--fuse-norm", "--fuse-attention", "--fuse-route", "--fuse-experts"}) {
    plain.insert(plain.end(), {pass, "off"});
  }
  const Ran ran = run_braid(plain);
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_NE(ran.out.find("layer 2\n  lane compute  rms_norm → gemm"), std::string::npos) << ran.out;
  EXPECT_NE(ran.out.find("route → permute → grouped_gemm ×2 → combine → wait(aux "),
            std::string::npos)
      << ran.out;
  EXPECT_NE(ran.out.find("  lane aux      wait(compute rms_norm) → gemm"), std::string::npos);
  EXPECT_NE(ran.out.find("dual_stream: two lanes (auto: 1 rows"), std::string::npos);
}

TEST(CliVerifyTest, RefusesWhatItCannotRun) {
  const TempFolder folder;
  const Ran ran =
      run_braid({"verify", golden_folder("glm4_moe"), "--trace", folder.file("trace.json")});
  EXPECT_EQ(ran.code, 2);
  EXPECT_NE(ran.err.find("--trace needs --delays"), std::string::npos);
  const Ran narrow =
      run_braid({"verify", golden_folder("glm4_moe"), "--delays", "1", "--context-length", "31"});
  EXPECT_EQ(narrow.code, 2);
  EXPECT_NE(narrow.err.find("the context is too short"), std::string::npos) << narrow.err;
}

TEST(CliTraceTest, WritesEventsOfEveryLaneAndATable) {
  const TempFolder folder;
  const std::string path = folder.file("trace.json");
  const Ran ran = run_braid(dummy({"bench", "latency"}, {"--input-len", "4", "--output-len", "2",
                                                         "--repeats", "1", "--trace", path}));
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json trace = read_json_file(path).value();
  std::map<std::string, int> names;
  for (const Json& event : trace["traceEvents"]) ++names[event["name"]];
  EXPECT_EQ(names["grouped_gemm"] % 2, 0);
  EXPECT_GT(names["grouped_gemm"], 0);
  EXPECT_EQ(names["sample"], 4);  // two runs of two steps
  EXPECT_NE(ran.err.find("\nshared_expert "), std::string::npos) << ran.err;
  const Ran refused = run_braid(dummy({"bench", "latency"}, {"--trace", folder.file("no/x")}));
  EXPECT_EQ(refused.code, 2);
  EXPECT_NE(refused.err.find("the trace can't be written"), std::string::npos);
}

struct Explained {
  std::string model;
  std::vector<std::string> lines;
};

TEST(CliExplainTest, SaysWhatWasChosenAndWhy) {
  for (const Explained& expected :
       {Explained{"glm4_moe",
                  {"Glm4MoeForCausalLM: 3 layers, 2 of them with experts",
                   "grouped-query attention: ", "dtype float32 (auto: float32 on the CPU)",
                   "weights are not quantized", "one rank on the CPU",
                   "dual_stream: two lanes (auto: 4 rows, within the limit of 256",
                   "found again in ", "input-len", "command line", "KV cache"}},
        Explained{"deepseek_v3_fp8_block",
                  {"quantized weights (fp8 per block 128x128) are dequantized to float32",
                   "MLA absorbed for every row", "2 of 4 groups"}},
        Explained{"qwen2", {"no experts", "the model has no shared expert"}}}) {
    const Ran ran =
        run_braid({"bench", "latency", golden_folder(expected.model), "--explain", "--quiet",
                   "--batch-size", "4", "--input-len", "4", "--output-len", "2", "--repeats", "1"});
    ASSERT_EQ(ran.code, 0) << ran.err;
    for (const std::string& line : expected.lines) {
      EXPECT_NE(ran.err.find(line), std::string::npos) << line << "\n" << ran.err;
    }
    EXPECT_EQ(ran.err.find("\n\n"), std::string::npos);
  }
}

TEST(CliExplainTest, BfloatIsTakenAtItsWord) {
  const Ran ran =
      run_braid(dummy({"bench", "latency"}, {"--dtype", "bfloat16", "--explain", "--input-len", "4",
                                             "--output-len", "2", "--repeats", "1", "--json"}));
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_NE(ran.err.find("\n  dtype bfloat16\n"), std::string::npos) << ran.err;
  EXPECT_EQ(ran.json()["dtype"], "bfloat16");
}

// A replay that computes something else is found, with its place.
TEST(VerificationTest, AReplayOnOtherWeightsIsFound) {
  const auto engine =
      open_engine(golden_folder("glm4_moe"), {.context_length = 32, .max_running = 2});
  const std::vector<engine::Request> requests = {{.prompt = {1, 2, 3}, .max_tokens = 3},
                                                 {.prompt = {4, 5}, .max_tokens = 4}};
  const auto recording = lab::StepRecording::record(*engine, requests).value();
  EXPECT_EQ(recording.num_steps(), 4u);
  EXPECT_EQ(recording.shapes().size(), 3u);
  const flow::Delays delays{.seed = 1, .longest = 20};
  EXPECT_EQ(recording.replay(engine->ranks(), delays).to_string(), "ok");
  EXPECT_EQ(recording.replay(engine->ranks(), {}).to_string(), "ok");

  const flow::Residents& residents = engine->worker().model().residents();
  for (int32_t index = 0; index < residents.size(); ++index) {
    if (residents[index].lifetime != flow::Lifetime::weight) continue;
    *reinterpret_cast<float*>(residents.data(index)) += 1;
  }
  const Status status = recording.replay(engine->ranks(), delays);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind(), ErrorKind::internal);
  EXPECT_NE(status.to_string().find("differs from serial execution"), std::string::npos);
  EXPECT_NE(status.to_string().find("step = 1"), std::string::npos) << status.to_string();
}

}  // namespace
}  // namespace braid::testing
