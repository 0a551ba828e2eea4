#include "flow/uses.h"

#include <gtest/gtest.h>

#include "flow/test_kinds.h"

namespace braid::flow {
namespace {

using testing::Draft;
using Ops = std::vector<int32_t>;

// 0 x · 1 y(x) · 2 y's last rows(y's last rows) · 3 out(y's first rows) · 4 kept(out)
struct Chain : Draft {
  Value x = step("x"), y = step("y"), out = step("out");
  Value first = rows(y, 0, 2), last = rows(y, 2, 2);
  Value kept = carried("kept", 0);

  Chain() {
    op(Lane::compute, {.out = {x}});
    op(Lane::compute, {.out = {y}, .in = {x}});
    op(Lane::compute, {.inout = {last}});
    op(Lane::compute, {.out = {out}, .in = {first}});
    op(Lane::compute, {.out = {kept}, .in = {out}});
  }
};

TEST(UsesTest, KnowsByRowsWhoTouchesWhat) {
  const Chain chain;
  const Uses uses(chain.program);
  EXPECT_EQ(uses.touching(chain.x), (Ops{0, 1}));
  EXPECT_EQ(uses.touching(chain.y), (Ops{1, 2, 3}));
  EXPECT_EQ(uses.touching(chain.first), (Ops{1, 3}));
  EXPECT_EQ(uses.last_writer(3, chain.y), 2);
  EXPECT_EQ(uses.last_writer(3, chain.first), 1);
  EXPECT_EQ(uses.last_writer(2, chain.last), 1);
  EXPECT_EQ(uses.last_writer(0, chain.x), -1);
}

TEST(UsesTest, FindsTheOnlyReaderOfWhatAStepMakes) {
  Chain chain;
  EXPECT_EQ(Uses(chain.program).only_reader(0, chain.x), 1);
  EXPECT_EQ(Uses(chain.program).only_reader(3, chain.out), 4);
  EXPECT_EQ(Uses(chain.program).only_reader(1, chain.y), -1);     // two ops read some of it
  EXPECT_EQ(Uses(chain.program).only_reader(4, chain.kept), -1);  // the next step may
  chain.op(Lane::aux, {.in = {chain.out}});
  EXPECT_EQ(Uses(chain.program).only_reader(3, chain.out), -1);
}

TEST(UsesTest, TellsViewsOfTheSameElements) {
  Chain chain;
  const Value again = chain.rows(chain.y, 0, 4), column = chain.columns(chain.y, 1, 1);
  EXPECT_TRUE(same_memory(chain.program, chain.y, again));
  EXPECT_FALSE(same_memory(chain.program, chain.y, chain.first));
  EXPECT_FALSE(same_memory(chain.program, chain.first, chain.last));
  EXPECT_FALSE(same_memory(chain.program, chain.y, column));
  EXPECT_FALSE(same_memory(chain.program, chain.x, chain.y));
}

}  // namespace
}  // namespace braid::flow
