#include "base/table.h"

#include <gtest/gtest.h>

namespace braid {
namespace {

Table small() {
  Table table({{.heading = "name", .left = true},
               {.heading = "µs", .keep = 1},
               {.heading = "of all", .keep = 3},
               {.heading = "results", .keep = 2, .left = true}});
  table.row({"one", "12.5", "30 %", "equal"});
  table.note("measured on a quiet machine");
  table.row({"another", "7", "", "equal"});
  return table;
}

TEST(TableTest, ColumnsAreAsWideAsTheirCells) {
  EXPECT_EQ(small().text(80),
            "name       µs  of all  results\n"
            "one      12.5    30 %  equal\n"
            "  measured on a quiet machine\n"
            "another     7          equal\n");
}

TEST(TableTest, TheLeastUsefulColumnsAreLeftOut) {
  EXPECT_EQ(small().text(24),
            "name       µs  results\n"
            "one      12.5  equal\n"
            "  measured on a quiet\n"
            "    machine\n"
            "another     7  equal\n"
            "(left out, the terminal\n"
            "has 24 columns: of all)\n");
  EXPECT_TRUE(small().text(5).starts_with("name\none\n"));
}

}  // namespace
}  // namespace braid
