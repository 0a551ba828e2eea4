#include "cli/profile_table.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "lab/profile_test_util.h"

namespace braid::cli {
namespace {

using lab::testing::HandMade;

TEST(ProfileTableTest, TableTellsMicrosecondsALayer) {
  const HandMade made;
  const std::string table = to_table(made.report());
  for (const char* line : {
           "prefill: 2 steps of 16 tokens, 0.00 ms each [0.00, 0.00]\n",
           "  attention              x 1      0.2      0.5\n",
           "  step                            1.0      1.0\n",
           "  beside these, on other lanes\n    shared expert        x 1      0.2      0.0\n",
           "    exposed                       0.1      0.2\n",
           "    share hidden                 67 %      0 %\n",
           "  slowest rank: 1, it computes 0.00 ms a step, 3.7 % more than the mean\n",
       }) {
    EXPECT_NE(table.find(line), std::string::npos) << line << table;
  }
  EXPECT_EQ(table.find("router"), std::string::npos);  // there is none
}

TEST(ProfileTableTest, JsonHasTheSameNumbers) {
  const HandMade made;
  const Json json = to_json(made.report());
  EXPECT_EQ(json["phase"], "prefill");
  EXPECT_EQ(json["wall_ns"], 2000);
  EXPECT_EQ(json["slowest_rank"], 1);
  EXPECT_EQ(json["ranks"][0]["modules_ns"]["experts"], 600);
  EXPECT_EQ(json["ranks"][0]["occupancy_ns"]["hidden"], 400);
  EXPECT_EQ(json["ranks"][0]["waited_for"], 1);
}

TEST(ProfileTableTest, OneRankHasNoCommunication) {
  HandMade made;
  made.profile.timelines.pop_back();
  made.profile.meetings.clear();
  auto& events = made.profile.timelines[0].events;
  std::erase_if(events, [](const auto& event) { return event.lane == flow::Lane::comm; });
  const std::string table = to_table(made.report());
  EXPECT_EQ(table.find("communication"), std::string::npos) << table;
  EXPECT_EQ(table.find("slowest"), std::string::npos) << table;
}

}  // namespace
}  // namespace braid::cli
