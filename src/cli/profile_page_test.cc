#include "cli/profile_page.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "lab/profile_test_util.h"

namespace braid::cli {
namespace {

using lab::testing::HandMade;

struct ProfilePageTest : ::testing::Test {
  HandMade made;

  Json data(const std::string& model = "tiny") const {
    const PageFacts facts{.model = model,
                          .facts = {{"layout", "2 ranks"}},
                          .decisions = {{{"dual_stream", "two lanes", "asked for", 1}}}};
    return page_data(made.profile, {made.report()}, facts);
  }
  static std::string text(const Json& data, const Json& index) {
    return data["strings"][index.get<size_t>()];
  }
};

TEST_F(ProfilePageTest, HasAllRanksLanesAndEvents) {
  const Json found = data();
  EXPECT_EQ(found["lanes"], (Json{"compute", "aux", "comm", "copy"}));
  ASSERT_EQ(found["ranks"].size(), 2u);
  for (size_t rank = 0; rank < 2; ++rank) {
    const flow::Timeline& timeline = made.profile.timelines[rank];
    EXPECT_EQ(found["ranks"][rank]["rank"], rank);
    ASSERT_EQ(found["ranks"][rank]["events"].size(), timeline.events.size());
    for (size_t i = 0; i < timeline.events.size(); ++i) {
      const flow::TimelineEvent& event = timeline.events[i];
      const int64_t start = event.start_ns - made.profile.timelines[0].events[0].start_ns;
      EXPECT_EQ(found["ranks"][rank]["events"][i],
                (Json{0, event.step - 4, event.op, static_cast<int>(event.lane), start,
                      event.end_ns - event.start_ns}));
    }
  }
}

TEST_F(ProfilePageTest, StepsThatShareAScheduleShareItsOps) {
  const Json found = data();
  const Json& ops = found["ranks"][0]["ops"];
  ASSERT_EQ(ops.size(), made.schedule.program.ops.size());
  EXPECT_EQ(text(found, ops[1][0]), "meet");
  EXPECT_EQ(text(found, ops[1][1]), "layer 0 residual");
  EXPECT_EQ(text(found, ops[1][2]), "reductions");
  EXPECT_EQ(text(found, ops[3][3]), "in0: x [4, 4] i32");
  EXPECT_EQ(ops[1][7], Json::array({0}));
  EXPECT_EQ(ops[0][7], Json::array());
}

TEST_F(ProfilePageTest, TellsWhoMetAndWhatWasExposed) {
  const Json found = data();
  // The last op of rank 1 met no other rank.
  ASSERT_EQ(found["meetings"].size(), 2u);
  EXPECT_EQ(found["meetings"][0], (Json{1, 0, 1, 1, 1}));
  EXPECT_EQ(found["meetings"][1], (Json{1, 0, 6, 1, 6}));
  EXPECT_EQ(found["ranks"][0]["exposed"], (Json{200, 300, 2200, 2300}));
  const Json& phase = found["phases"][0];
  EXPECT_EQ(phase["steps"], (Json{{4, 0, 1000}, {5, 2000, 3000}}));
  EXPECT_EQ(phase["decisions"][0], (Json{"dual_stream", "two lanes", "asked for"}));
  EXPECT_EQ(phase["wall_ns"], 2000);
}

TEST_F(ProfilePageTest, ThePageHoldsTheDataAndNothingFromElsewhere) {
  const Json expected = data("</script><b>&");
  const std::string page = make_page(expected);
  EXPECT_EQ(page.find("<!DOCTYPE html>\n<!-- made by braid profile -->"), 0u);
  const std::string opening = R"(<script type="application/json" id="data">)";
  const size_t start = page.find(opening) + opening.size();
  const size_t end = page.find("</script>", start);
  const auto found = parse_json(page.substr(start, end - start), "page");
  ASSERT_TRUE(found.ok()) << found.status().to_string();
  EXPECT_EQ(*found, expected);
  EXPECT_EQ((*found)["model"], "</script><b>&");
  for (const char* from_elsewhere :
       {"http:", "https:", "src=", "<link", "@import", "url(", "fetch("}) {
    EXPECT_EQ(page.find(from_elsewhere), std::string::npos) << from_elsewhere;
  }
  for (const char* mark : {"/*style*/", "/*script*/", "/*data*/"}) {
    EXPECT_EQ(page.find(mark), std::string::npos) << mark;
  }
}

}  // namespace
}  // namespace braid::cli
