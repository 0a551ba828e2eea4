// Random Programs of several ranks and several launches: the joint checks agree with the oracle on
// what compile() makes of them and on every mutant.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "flow/check/check.h"
#include "flow/check/oracle_test_util.h"
#include "flow/random_program_test_util.h"

namespace braid::flow::testing {
namespace {

int64_t num_worlds() { return num_cases(500, 10000); }

// One Schedule a rank: different Programs around one sequence of collectives.
struct World {
  std::vector<Schedule> schedules;

  World(uint64_t seed, bool peer_races) {
    std::mt19937_64 random(seed);
    RandomOptions options{.ops = 14, .ranks = 2 + static_cast<int>(random() % 2), .peers = true};
    options.peer_races = peer_races;
    for (uint64_t left = 2 + random() % 4; left > 0; --left) {
      options.meetings.push_back(
          {static_cast<int32_t>(random() % 2), random() % 2, !peer_races || random() % 4 != 0});
    }
    for (options.rank = 0; options.rank < options.ranks; ++options.rank) {
      auto schedule = compile(random_program(random(), options), mix_scratch);
      BRAID_CHECK(schedule.ok(), "{}", schedule.status().to_string());
      schedules.push_back(std::move(schedule).value());
    }
  }

  std::vector<std::vector<Launch>> launches() const {
    std::vector<std::vector<Launch>> ranks;
    for (const Schedule& schedule : schedules) ranks.push_back({{&schedule, 0, {}}});
    return ranks;
  }
  Result<CheckReport> check() const {
    std::vector<const Schedule*> ranks;
    for (const Schedule& schedule : schedules) ranks.push_back(&schedule);
    return check_joint(ranks);
  }
};

struct Tally {
  int64_t caught = 0;
  int64_t fine = 0;

  void judge(const Status& verdict, bool right, uint64_t seed) {
    ASSERT_EQ(verdict.ok(), right) << "case " << seed << ": " << verdict.to_string();
    ++(right ? fine : caught);
  }
  void print(std::string_view what) const {
    fmt::print("{}: {} caught, {} proven right\n", what, caught, fine);
  }
};

TEST(CheckRanksPropertyTest, WorldsThatTakeTurnsAreClean) {
  int64_t pairs = 0;
  int64_t collectives = 0;
  for (uint64_t seed = 0; seed < static_cast<uint64_t>(num_worlds()); ++seed) {
    const World world(seed, false);
    for (const Schedule& schedule : world.schedules) {
      const auto alone = check_schedule(schedule);
      ASSERT_TRUE(alone.ok()) << seed << ": " << alone.status().to_string();
    }
    const auto verdict = world.check();
    ASSERT_TRUE(verdict.ok()) << seed << ": " << verdict.status().to_string();
    ASSERT_TRUE(ranks_are_right(world.launches())) << seed;
    pairs += verdict.value().pairs;
    collectives += verdict.value().collectives;
  }
  fmt::print("{} worlds, {} rendezvous, {} pairs between ranks proven\n", num_worlds(), collectives,
             pairs);
  EXPECT_GT(pairs, num_worlds());
  EXPECT_GT(collectives, num_worlds());
}

TEST(CheckRanksPropertyTest, RacesOnPeersMemory) {
  Tally tally;
  for (uint64_t seed = 0; seed < static_cast<uint64_t>(num_worlds()); ++seed) {
    const World world(seed, true);
    tally.judge(world.check().status(), ranks_are_right(world.launches()), seed);
    if (HasFatalFailure()) return;
  }
  tally.print("peers' memory out of turn");
  EXPECT_GT(tally.caught, num_worlds() / 5);
  EXPECT_GT(tally.fine, 0);
}

TEST(CheckRanksPropertyTest, SwappedCollectivesOnOneRank) {
  Tally tally;
  for (uint64_t seed = 0; seed < static_cast<uint64_t>(num_worlds()); ++seed) {
    World world(seed, false);
    std::mt19937_64 random(seed);
    auto& comm = world.schedules[random() % world.schedules.size()].lanes[index_of(Lane::comm)];
    for (size_t i = 0; i < comm.size(); ++i) {
      for (size_t j = i + 1; j < comm.size(); ++j) {
        std::swap(comm[i], comm[j]);
        tally.judge(world.check().status(), ranks_are_right(world.launches()), seed);
        if (HasFatalFailure()) return;
        std::swap(comm[i], comm[j]);
      }
    }
  }
  tally.print("swapped ops of one rank's lane comm");
  EXPECT_GT(tally.caught, num_worlds());
}

TEST(CheckRanksPropertyTest, DroppedWaitsBetweenRanks) {
  Tally tally;
  for (uint64_t seed = 0; seed < static_cast<uint64_t>(num_worlds()); ++seed) {
    World world(seed, false);
    for (Schedule& schedule : world.schedules) {
      for (Waits& waits : schedule.waits) {
        for (size_t wait = 0; wait < waits.size(); ++wait) {
          const Waits kept = waits;
          waits.erase_at(wait);
          tally.judge(world.check().status(), ranks_are_right(world.launches()), seed);
          if (HasFatalFailure()) return;
          waits = kept;
        }
      }
    }
  }
  tally.print("dropped waits, as the ranks see them");
  EXPECT_GT(tally.caught, num_worlds() / 2);
}

// A row of launches of one rank: steps, and small readers of carried memory between them.
struct Row {
  std::vector<Schedule> schedules;
  std::vector<Launch> launches;

  explicit Row(uint64_t seed) {
    std::mt19937_64 random(seed);
    schedules.reserve(4);
    for (int i = 0; i < 4; ++i) {
      auto schedule = compile(random_program(random(), {.ops = 4}), mix_scratch);
      BRAID_CHECK(schedule.ok(), "{}", schedule.status().to_string());
      schedules.push_back(std::move(schedule).value());
    }
    const size_t length = 3 + random() % 5;
    for (size_t i = 0; i < length; ++i) {
      launches.push_back({&schedules[random() % 4], static_cast<int64_t>(random() % 4), {}});
      if (random() % 3 == 0) continue;  // some name nothing
      for (size_t named = 0; named < i; ++named) {
        if (random() % 3 != 0) launches[i].after.push_back(static_cast<int32_t>(named));
      }
    }
  }
};

TEST(CheckRanksPropertyTest, LaunchesThatNameSomeOthers) {
  Tally tally;
  for (uint64_t seed = 0; seed < static_cast<uint64_t>(4 * num_worlds()); ++seed) {
    const Row row(seed);
    tally.judge(check_launches(row.launches).status(), launches_are_right(row.launches), seed);
    if (HasFatalFailure()) return;
  }
  tally.print("rows of launches with random names");
  EXPECT_GT(tally.caught, num_worlds());
  EXPECT_GT(tally.fine, num_worlds() / 20);
}

// Every launch names all that it must; then each name is dropped.
TEST(CheckRanksPropertyTest, DroppedNamesOfLaunches) {
  Tally tally;
  for (uint64_t seed = 0; seed < static_cast<uint64_t>(num_worlds()); ++seed) {
    Row row(seed);
    for (size_t i = 0; i < row.launches.size(); ++i) {  // the fewest names, tried one by one
      row.launches[i].after.clear();
      for (size_t named = i; named-- > 0;) {
        const std::vector<Launch> so_far(row.launches.begin(),
                                         row.launches.begin() + static_cast<int64_t>(i) + 1);
        if (launches_are_right(so_far)) break;
        row.launches[i].after.push_back(static_cast<int32_t>(named));
      }
    }
    tally.judge(check_launches(row.launches).status(), true, seed);
    for (Launch& launch : row.launches) {
      for (size_t name = 0; name < launch.after.size(); ++name) {
        const std::vector<int32_t> kept = launch.after;
        launch.after.erase(launch.after.begin() + static_cast<int64_t>(name));
        tally.judge(check_launches(row.launches).status(), launches_are_right(row.launches), seed);
        if (HasFatalFailure()) return;
        launch.after = kept;
      }
    }
  }
  tally.print("dropped names of launches");
  EXPECT_GT(tally.caught, num_worlds());
}

// Steps of all ranks in a row: memory that ranks share must be ordered across the steps too.
TEST(CheckRanksPropertyTest, JointLaunches) {
  Tally tally;
  for (uint64_t seed = 0; seed < static_cast<uint64_t>(num_worlds()); ++seed) {
    const World first(seed, false);
    const World second(seed, seed % 2 == 0);  // the same sequence of collectives
    std::vector<std::vector<Launch>> ranks = first.launches();
    for (size_t rank = 0; rank < ranks.size(); ++rank) {
      ranks[rank].push_back({&second.schedules[rank], 1, {}});
      if (seed % 3 != 0) ranks[rank].back().after = {0};
    }
    tally.judge(check_joint_launches(ranks).status(), ranks_are_right(ranks), seed);
    if (HasFatalFailure()) return;
  }
  tally.print("two steps of all ranks");
  EXPECT_GT(tally.caught, num_worlds() / 10);
  EXPECT_GT(tally.fine, num_worlds() / 10);
}

// Blocks handed out and taken back while steps are in flight, by the rule and one step early.
TEST(CheckRanksPropertyTest, LeasesOfBlocks) {
  int64_t handed_on = 0;
  int64_t caught = 0;
  for (uint64_t seed = 0; seed < static_cast<uint64_t>(num_worlds()); ++seed) {
    std::mt19937_64 random(seed);
    std::vector<Lease> leases;
    std::array<int64_t, 8> free_after{};  // per block: the last launch that may touch it
    free_after.fill(-1);
    for (int64_t launch = 0; launch < 30; ++launch) {
      const int64_t done = launch - 2 + static_cast<int64_t>(random() % 2);
      for (size_t block = 0; block < free_after.size(); ++block) {
        if (free_after[block] > done || random() % 3 != 0) continue;
        free_after[block] = launch + static_cast<int64_t>(random() % 4);
        const auto row = static_cast<int64_t>(block) * 16;
        leases.push_back({0, row, row + 16, static_cast<int64_t>(leases.size()), launch,
                          free_after[block], done});
      }
    }
    const Status verdict = check_leases(leases);
    ASSERT_TRUE(verdict.ok()) << seed << ": " << verdict.to_string();
    for (Lease& next : leases) {
      for (const Lease& last : leases) {
        if (&last == &next || last.first != next.first || last.last_launch >= next.first_launch) {
          continue;
        }
        ++handed_on;
        const Lease kept = next;
        next.done_when_granted = last.last_launch - 1;  // freed one step early
        ASSERT_FALSE(check_leases(leases).ok()) << seed;
        next = kept;
        next.first_launch = last.last_launch;  // two holders in one step
        ASSERT_FALSE(check_leases(leases).ok()) << seed;
        next = kept;
        caught += 2;
      }
    }
  }
  fmt::print("blocks handed on {} times, {} early leases caught\n", handed_on, caught);
  EXPECT_GT(caught, num_worlds());
}

}  // namespace
}  // namespace braid::flow::testing
