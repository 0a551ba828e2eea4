// The table of braid bench techniques, and what it makes of results that are too far off.
#include "cli/technique_table.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/json.h"

namespace braid::cli {
namespace {

lab::TechniqueRow row(bool bitwise, bool equal, double error) {
  return {.pair = {.technique = "dual_stream",
                   .setting = "two lanes",
                   .bitwise = bitwise,
                   .bound = 0.01,
                   .published = "52 → 58"},
          .before = {.median = 0.0002312, .low = 0.0002, .high = 0.0003},
          .after = {.median = 0.0002103, .low = 0.0002, .high = 0.0003},
          .ratio = {.median = 1.1, .low = 1.05, .high = 1.2},
          .equal = equal,
          .error = error};
}

TEST(TechniqueTableTest, ShowsMicrosecondsOfWhatIsShort) {
  const std::string text = technique_table(std::vector{row(true, true, 0)}, {});
  for (const char* words : {"0.231", "0.210", "x1.100 [1.050, 1.200]", "bitwise equal",
                            "published: 52 → 58", "two lanes"}) {
    EXPECT_NE(text.find(words), std::string::npos) << words << "\n" << text;
  }
  EXPECT_EQ(text.find("serial twice"), std::string::npos);
  lab::TechniqueRow slow = row(true, true, 0);
  slow.before.median = 0.1421;
  EXPECT_NE(technique_table(std::vector{slow}, {}).find("142.10"), std::string::npos);
}

TEST(TechniqueTableTest, NoiseAndHiddenSharesStandWhereTheyAreKnown) {
  lab::TechniqueRow known = row(true, true, 0);
  known.again = lab::Estimate{.median = 1.001, .low = 0.998, .high = 1.004};
  known.hidden = lab::Estimate{.median = 0.85, .low = 0.5, .high = 0.97};
  const std::string text =
      technique_table(std::vector{known}, std::vector{lab::LeftOut{"heat", "no experts"}});
  for (const char* words :
       {"serial twice", "x1.001 [0.998, 1.004]", "85 % [50, 97]", "heat: left out, no experts"}) {
    EXPECT_NE(text.find(words), std::string::npos) << words << "\n" << text;
  }
  const Json json = technique_json(std::vector{known});
  EXPECT_EQ(json[0]["again"]["high"], 1.004);
  EXPECT_EQ(json[0]["bitwise"], true);
  EXPECT_TRUE(technique_json(std::vector{row(true, true, 0)})[0]["hidden"].is_null());
}

TEST(TechniqueTableTest, ResultsTooFarOffAreAnErrorBehindTheTable) {
  EXPECT_TRUE(lab::check_exactness(std::vector{row(true, true, 0), row(false, false, 0.009)}).ok());
  for (const lab::TechniqueRow& wrong :
       {row(true, false, 0), row(false, false, 0.02), row(false, false, std::nan("")),
        row(true, true, std::nan(""))}) {
    const std::vector rows = {row(true, true, 0), wrong};
    EXPECT_EQ(lab::check_exactness(rows).error().kind(), ErrorKind::internal);
    EXPECT_NE(technique_table(rows, {}).find("TOO LARGE"), std::string::npos);
  }
}

}  // namespace
}  // namespace braid::cli
