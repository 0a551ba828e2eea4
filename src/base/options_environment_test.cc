#include "base/options_environment.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "base/options_table.h"

namespace braid {
namespace {

TEST(OptionsEnvironmentTest, NamesMisspeltVariables) {
  const std::vector<std::string> names = {"BRAID_MAX_TOKEN", "BRAID_SEED", "BRAID_QQQQQQQQQQ",
                                          "BRAID_LONG"};
  EXPECT_EQ(unknown_variables(braid_options(), names),
            (std::vector<std::string>{
                "the environment variable BRAID_MAX_TOKEN is no option of braid: BRAID_MAX_TOKENS "
                "is",
                "the environment variable BRAID_QQQQQQQQQQ is no option of braid"}));
}

TEST(OptionsEnvironmentTest, ReadsTheProcess) {
  setenv("BRAID_TEST_OF_NAMES", "1", 1);
  const std::vector<std::string> names = process_variables();
  unsetenv("BRAID_TEST_OF_NAMES");
  EXPECT_NE(std::find(names.begin(), names.end(), "BRAID_TEST_OF_NAMES"), names.end());
}

}  // namespace
}  // namespace braid
