// braid bench techniques, end to end, and the pairs that it runs.
#include <gtest/gtest.h>

#include "cli/technique_pairs.h"
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
  const Ran ran = run_braid(techniques("qwen3_moe", {"--quiet"}));
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_NE(ran.out.find("over emulated links of"), std::string::npos) << ran.out;
  for (const char* words : {"share hidden", "bitwise equal", "21004.67 → 26039.52", "PR 7667"}) {
    EXPECT_NE(ran.out.find(words), std::string::npos) << words << "\n" << ran.out;
  }
  EXPECT_EQ(ran.out.find("dual_stream"), std::string::npos);  // it has no shared expert
}

TEST(CliTechniquesTest, ADenseModelIsRefused) {
  const Ran ran = run_braid(techniques("qwen2", {"--emulate-link", "1GB/s,20us"}));
  EXPECT_EQ(ran.code, 1);
  EXPECT_NE(ran.err.find("four of the five techniques are about experts"), std::string::npos)
      << ran.err;
}

// Every pair changes one thing, and compares it with what has all techniques off.
TEST(TechniquePairsTest, DifferInOneThing) {
  const auto config = model::load_config(golden_folder("glm4_moe")).value();
  engine::EngineOptions base;
  base.worker.passes.dual_stream.mode = passes::Switch::off;
  base.worker.passes.heat.mode = passes::Switch::off;
  base.worker.passes.quantize_dispatch.dtype = passes::DispatchDtype::unquantized;
  const auto pairs = cli::technique_pairs(base, config).value();
  ASSERT_EQ(pairs.size(), 6u);
  for (const cli::TechniquePair& pair : pairs) {
    const auto& before = pair.before.worker.passes;
    const auto& after = pair.after.worker.passes;
    EXPECT_EQ(before.dual_stream.mode, passes::Switch::off);
    EXPECT_EQ(before.chunks.chunks, 1);
    EXPECT_EQ(before.heat.mode, passes::Switch::off);
    const int changes =
        static_cast<int>(pair.before.layout != pair.after.layout) +
        static_cast<int>(before.dual_stream.mode != after.dual_stream.mode) +
        static_cast<int>(before.chunks.chunks != after.chunks.chunks) +
        static_cast<int>(before.heat.mode != after.heat.mode) +
        static_cast<int>(before.quantize_dispatch.dtype != after.quantize_dispatch.dtype);
    EXPECT_EQ(changes, 1) << pair.technique;
  }
}

}  // namespace
}  // namespace braid::testing
