// braid bench layer, as its users run it: on the CPU, with one rank and with several.
#include <gtest/gtest.h>

#include "support/command.h"
#include "support/models.h"

namespace braid::testing {
namespace {

std::vector<std::string> layer(std::vector<std::string> more) {
  std::vector<std::string> arguments = {"bench",
                                        "layer",
                                        golden_folder("glm4_moe"),
                                        "--load-format",
                                        "dummy",
                                        "--rounds",
                                        "3",
                                        "--json-model-override-args",
                                        R"({"first_k_dense_replace": 0})"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

TEST(CliLayerTest, ChecksAndTimesALayerOnOneRank) {
  const Ran ran = run_braid(layer({"--tokens", "1,5", "--check"}));
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_NE(ran.out.find("5 rows, one expert empty: relative error 0.00e+00"), std::string::npos)
      << ran.out;
  EXPECT_NE(ran.out.find("200 replays on fresh inputs, bitwise equal"), std::string::npos);
  EXPECT_NE(ran.out.find("ops of 2 variants audited: they touch what they declare\n"),
            std::string::npos)
      << ran.out;
  EXPECT_NE(ran.out.find("dual_stream"), std::string::npos);
  EXPECT_NE(ran.out.find("5 rows, fused slot: relative error "), std::string::npos);
  EXPECT_EQ(ran.out.find("chunks"), std::string::npos);  // one rank sums nothing
}

TEST(CliLayerTest, ComparesChunksWithOnePieceOnSeveralRanks) {
  const Ran ran = run_braid(layer({"--tp", "2", "--tokens", "300", "--chunks", "2", "--json"}));
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json result = ran.json();
  EXPECT_EQ(result["ranks"], 2);
  std::vector<std::string> names;
  for (const Json& variant : result["variants"]) {
    names.push_back(variant["name"]);
    EXPECT_GT(variant["seconds"]["median"], 0) << names.back();
  }
  EXPECT_EQ(names, (std::vector<std::string>{"serial", "serial again", "dual_stream", "fused slot",
                                             "compute alone", "sums alone, direct",
                                             "2 chunks, direct", "2 chunks continued, direct",
                                             "auto, direct", "auto continued, direct"}));
}

TEST(CliLayerTest, ChecksGroupsWithRowsOfTheirOwn) {
  const Ran ran = run_braid(layer({"--dp", "2", "--tokens", "5", "--check"}));
  ASSERT_EQ(ran.code, 0) << ran.err;
  for (const std::string_view said : {
           "\n5 of 5 + 2 rows, balanced: relative error",
           "\n2 of 5 + 2 rows, one expert empty: relative error",
           "\n5 of 5 + 0 rows, balanced: relative error",
           "\n5 + 2 rows: 60 runs of 3 variants under random delays, bitwise equal",
           "\n5 + 0 rows: 300 replays on fresh inputs, bitwise equal to eager runs",
           "\n5 + 2 prefill rows",
           "\nall-to-all ",
       }) {
    EXPECT_NE(ran.out.find(said), std::string::npos) << said << ran.out;
  }
  EXPECT_EQ(ran.out.find("\n5 + 0 prefill rows"), std::string::npos);  // checked, not timed
  EXPECT_EQ(ran.out.find("\n0 of"), std::string::npos);
}

TEST(CliLayerTest, ChecksGroupsOfSeveralRanks) {
  const Ran ran =
      run_braid(layer({"--dp", "2", "--tp", "2", "--tokens", "300", "--chunks", "2", "--check"}));
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_NE(ran.out.find("\n300 + 150 rows: 120 runs of 6 variants"), std::string::npos) << ran.out;
  EXPECT_NE(ran.out.find("2 chunks, direct"), std::string::npos);
  EXPECT_EQ(ran.out.find("compute alone"), std::string::npos);  // on rows that were not gathered
}

TEST(CliLayerTest, ChecksProjectionsOnSeveralRanks) {
  const Ran ran =
      run_braid({"bench", "layer", golden_folder("qwen2"), "--load-format", "dummy", "--part",
                 "down", "--tp", "2", "--tokens", "300", "--rounds", "2", "--check"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_NE(ran.out.find("16 chunks, direct"), std::string::npos) << ran.out;
  EXPECT_NE(ran.out.find("300 rows: declarations not audited: ranks share this process"),
            std::string::npos)
      << ran.out;
}

TEST(CliLayerTest, RefusesWhatCannotBe) {
  const auto refused = [](std::vector<std::string> more, std::string_view why) {
    const Ran ran = run_braid(layer(std::move(more)));
    EXPECT_EQ(ran.code, 2) << why;
    EXPECT_NE(ran.err.find(why), std::string::npos) << ran.err;
  };
  refused({"--tokens", "1,,2"}, "a list of numbers");
  refused({"--tokens", "0"}, "a list of numbers");
  refused({"--part", "down"}, "the first layer has experts");
  refused({"--dp", "2", "--part", "o_proj"}, "rows of several groups");
  refused({"--inject-fault", "melt:0:0:0"}, "a fault is KIND:RANK:STEP:OP");
  refused({"--emulate-link", "20GB/s"}, "as in 20GB/s,10us");
  refused({"--emulate-link", "20GB/s,1us", "--device", "cuda"}, "GPUs have links of their own");
  const Ran checkpoint = run_braid({"bench", "layer", golden_folder("glm4_moe")});
  EXPECT_EQ(checkpoint.code, 2);
  EXPECT_NE(checkpoint.err.find("Add --load-format dummy"), std::string::npos) << checkpoint.err;
}

}  // namespace
}  // namespace braid::testing
