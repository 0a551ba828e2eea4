#include "engine/block_pool.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace braid::engine {
namespace {

TEST(BlockPoolTest, HandsOutEachBlockOnce) {
  BlockPool pool(4);
  std::vector<int32_t> blocks;
  EXPECT_TRUE(pool.allocate(3, 1, blocks));
  EXPECT_EQ(std::set<int32_t>(blocks.begin(), blocks.end()).size(), 3u);
  EXPECT_FALSE(pool.allocate(2, 1, blocks));
  EXPECT_EQ(blocks.size(), 3u);  // nothing was taken
  EXPECT_EQ(pool.num_free(), 1);
}

TEST(BlockPoolTest, ABlockComesBackWhenItsLastStepIsDone) {
  BlockPool pool(2);
  std::vector<int32_t> blocks;
  ASSERT_TRUE(pool.allocate(2, 1, blocks));
  pool.step_done(1);
  pool.release(blocks, 2);  // step 2 still runs
  EXPECT_TRUE(blocks.empty());
  EXPECT_EQ(pool.num_free(), 0);
  pool.step_done(2);
  EXPECT_EQ(pool.num_free(), 2);
}

// An overlapped loop: step n + 1 is planned while step n runs, so that done trails by one. A
// `haste` of 1 frees every block one step early.
std::vector<flow::Lease> overlapped_leases(int64_t haste, uint64_t seed) {
  std::mt19937_64 random(seed);
  BlockPool pool(6);
  std::vector<flow::Lease> log;
  pool.keep_log(&log);
  struct Holder {
    std::vector<int32_t> blocks;
    int64_t last_step;
  };
  std::vector<Holder> holders;
  for (int64_t step = 1; step <= 60; ++step) {
    for (Holder& holder : holders) {  // all but the new one ran in the step before
      if (random() % 3 == 0) {
        pool.release(holder.blocks, holder.last_step - haste);
        // The log tells what really happened: the step was in flight when the blocks went.
        for (auto& lease : log) {
          if (lease.last_launch == holder.last_step - haste) lease.last_launch = holder.last_step;
        }
      } else {
        holder.last_step = step;
      }
    }
    std::erase_if(holders, [](const Holder& holder) { return holder.blocks.empty(); });
    Holder next{.blocks = {}, .last_step = step};
    if (pool.allocate(1 + static_cast<int32_t>(random() % 3), step, next.blocks)) {
      holders.push_back(next);
    }
    pool.step_done(step - 1);
  }
  return log;
}

TEST(BlockPoolTest, LeasesOfAnOverlappedLoopAreClean) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const std::vector<flow::Lease> leases = overlapped_leases(0, seed);
    EXPECT_GT(leases.size(), 10u);
    const Status status = flow::check_leases(leases);
    EXPECT_TRUE(status.ok()) << status.to_string();
  }
}

TEST(BlockPoolTest, FreeingABlockOneStepEarlyIsCaught) {
  int caught = 0;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    caught += flow::check_leases(overlapped_leases(1, seed)).ok() ? 0 : 1;
  }
  EXPECT_EQ(caught, 50);
}

}  // namespace
}  // namespace braid::engine
