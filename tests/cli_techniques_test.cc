// braid bench techniques, end to end.
#include <gtest/gtest.h>

#include "support/command.h"
#include "support/models.h"

namespace braid::testing {
namespace {

std::vector<std::string> techniques(const std::string& golden,
                                    const std::vector<std::string>& more = {}) {
  std::vector<std::string> command = {"bench", "techniques", golden_folder(golden), "--quick"};
  command.insert(command.end(), more.begin(), more.end());
  return command;
}

TEST(CliTechniquesTest, RunsAllFiveAndChecksTheirResults) {
  const Ran ran =
      run_braid(techniques("glm4_moe", {"--emulate-link", "1GB/s,20us", "--json", "--quiet"}));
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json json = ran.json();
  EXPECT_EQ(json["link"], "1 GB/s, 20 us");
  std::map<std::string, int> rows;
  for (const Json& row : json["techniques"]) {
    const std::string name = row["technique"];
    ++rows[name];
    EXPECT_GT(row["before_seconds"]["median"].get<double>(), 0) << name;
    EXPECT_GT(row["ratio"]["median"].get<double>(), 0) << name;
    EXPECT_FALSE(row["published"].get<std::string>().empty()) << name;
    EXPECT_EQ(row["hidden"].is_null(), name != "chunk_collectives") << name;
    const double error = row["error"];
    if (name == "expert parallelism") {
      EXPECT_LT(error, 1e-5);
      EXPECT_GT(error, 0);
    } else if (name == "quantize_dispatch") {
      EXPECT_LT(error, 0.1);
      EXPECT_GT(error, 1e-4);
    } else {
      EXPECT_EQ(error, 0) << name;
    }
  }
  EXPECT_EQ(rows, (std::map<std::string, int>{{"chunk_collectives", 1},
                                              {"dual_stream", 1},
                                              {"expert parallelism", 2},
                                              {"heat", 1},
                                              {"quantize_dispatch", 1}}));
}

TEST(CliTechniquesTest, PrintsATableWithThePublishedPairs) {
  const Ran ran = run_braid(techniques("qwen3_moe", {"--device", "cpu", "--quiet"}));
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_NE(ran.out.find("over emulated links of"), std::string::npos) << ran.out;
  for (const char* words : {"share hidden", "bitwise equal", "21004.67 → 26039.52", "PR 7667"}) {
    EXPECT_NE(ran.out.find(words), std::string::npos) << words << "\n" << ran.out;
  }
  EXPECT_NE(ran.out.find("dual_stream: left out, the model has no shared expert"),
            std::string::npos)
      << ran.out;
}

TEST(CliTechniquesTest, ADenseModelIsRefused) {
  const Ran ran = run_braid(techniques("qwen2", {"--emulate-link", "1GB/s,20us"}));
  EXPECT_EQ(ran.code, 1);
  EXPECT_NE(ran.err.find("four of the five techniques are about experts"), std::string::npos)
      << ran.err;
}

// Single layers by the code that runs them on GPUs, on CPU ranks.
TEST(CliTechniquesTest, ComparesSingleLayersOfAModel) {
  const Ran ran = run_braid(techniques(
      "glm4_moe", {"--layer", "--device", "cpu", "--emulate-link", "1GB/s,20us", "--json"}));
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_NE(ran.err.find("results under random delays"), std::string::npos) << ran.err;
  const Json json = ran.json();
  EXPECT_EQ(json["device"], "cpu");
  EXPECT_EQ(json["link"], "1 GB/s, 20 us");
  EXPECT_EQ(json["layers_of"], Json({"glm4_moe", "glm4_moe"}));
  ASSERT_EQ(json["techniques"].size(), 6u);
  for (const Json& row : json["techniques"]) {
    const std::string name = row["technique"];
    const bool bounded = name == "expert parallelism" || name == "quantize_dispatch";
    EXPECT_EQ(row["bitwise"], !bounded) << name;
    EXPECT_EQ(row["error"].get<double>() > 0, bounded) << name;
    EXPECT_GT(row["again"]["median"].get<double>(), 0) << name;
    EXPECT_EQ(row["hidden"].is_null(), name != "chunk_collectives") << name;
  }
}

TEST(CliTechniquesTest, ADenseModelsLayerHasOneTechnique) {
  const Ran ran = run_braid(techniques("qwen2", {"--layer", "--device", "cpu", "--quiet"}));
  ASSERT_EQ(ran.code, 0) << ran.err;
  for (const char* words : {"2 ranks (threads); single layers, random weights", "serial twice",
                            "qwen2, tp 2, 128 prefill rows: whole sums → 4 chunks",
                            "heat: left out, the model has no experts"}) {
    EXPECT_NE(ran.out.find(words), std::string::npos) << words << "\n" << ran.out;
  }
}

TEST(CliTechniquesTest, GpusThatAreNotThereAreRefused) {
  const Ran ran =
      run_braid(techniques("glm4_moe", {"--device", "cuda", "--emulate-link", "1GB/s,20us"}));
  EXPECT_EQ(ran.code, 2);
  EXPECT_NE(ran.err.find("GPUs have links of their own"), std::string::npos) << ran.err;
}

}  // namespace
}  // namespace braid::testing
