// How many chunks are chosen: a table of cases, apart from any Program.
#include "passes/chunk_prices.h"

#include <gtest/gtest.h>

namespace braid::passes {
namespace {

using cost::RowWork;
using cost::Stage;

// A FLOP and a byte on the link take a microsecond each; an op 1 more, a message 1, a collective
// `fixed`.
cost::DeviceProfile unit(double fixed = 0, double takes = 0) {
  return {.name = "",
          .flop_per_second = 1e6,
          .bytes_per_second = 1e6,
          .launch_us = 1,
          .link = {.bytes_per_second = 1e6, .latency_us = 1},
          .collective_us = fixed,
          .collective_takes = takes};
}

std::vector<Stage> projection(double compute, double link) {
  return {
      {.compute = {{.each_chunk = {}, .each_row = {.flop = compute}}},
       .comm = {
           {.each_chunk = {.messages = 2}, .each_row = {.link_bytes = link}, .collective = true}}}};
}

struct Case {
  std::string what;
  std::vector<Stage> stages;
  int64_t rows;
  cost::DeviceProfile profile;
  int32_t chunks;
};

TEST(ChooseChunksTest, TheLeastPredictedTimeWins) {
  for (const Case& one : std::vector<Case>{
           {"nothing on the link, as on one rank", projection(1, 0), 1024, unit(), 1},
           {"too few rows for two tiles", projection(1, 1), 255, unit(), 1},
           {"fixed cost of a collective dominates", projection(1, 1), 1024, unit(5000), 1},
           {"some fixed cost", projection(1, 1), 1024, unit(200), 2},
           {"no fixed cost: as many as there are tiles", projection(1, 1), 1024, unit(), 8},
           {"the link is slower than computing", projection(0.1, 3), 1024, unit(), 8},
           {"computing is much slower: each cut costs a launch", projection(50, 0.01), 1024,
            unit(20), 3},
           {"a tail makes more chunks no shorter", projection(1, 1), 384, unit(), 3},
           {"collectives take as long from computing", projection(1, 1), 1024, unit(0, 1), 1},
       }) {
    const ChunkChoice choice = choose_chunks(one.stages, one.stages, one.rows, one.profile);
    EXPECT_EQ(choice.chunks, one.chunks) << one.what;
  }
}

TEST(ChooseChunksTest, EveryNumberOfChunksIsPricedOnce) {
  const auto stages = projection(1, 1);
  const ChunkChoice choice = choose_chunks(stages, stages, 600, unit());
  // 600 rows are five tiles: 3 chunks of 256 at most, 4 of 256 are three, 6 of 128 are five.
  std::vector<int32_t> numbers;
  for (const ChunkPrice& price : choice.prices) numbers.push_back(price.chunks);
  EXPECT_EQ(numbers, (std::vector<int32_t>{1, 2, 3, 5}));
  EXPECT_EQ(choice.prices[0].us, 601 + 602);
}

TEST(ChooseChunksTest, ANumberThatIsAskedForIsPricedBesideOnePiece) {
  const auto stages = projection(1, 1);
  const int32_t asked[] = {3};
  const ChunkChoice choice = choose_chunks(stages, stages, 600, unit(), asked);
  ASSERT_EQ(choice.prices.size(), 2u);
  EXPECT_EQ(choice.prices[0].chunks, 1);
  EXPECT_EQ(choice.prices[1].chunks, 3);
  EXPECT_LT(choice.prices[1].us, choice.prices[0].us);
}

TEST(ChooseChunksTest, InOnePieceIsPricedAsItIs) {
  const auto whole = projection(1, 0.1);
  const auto cut = projection(1, 10);  // say, with more collectives
  const ChunkChoice choice = choose_chunks(whole, cut, 512, unit());
  EXPECT_EQ(choice.chunks, 1);
  EXPECT_LT(choice.prices[0].us * 5, choice.prices[1].us);
}

}  // namespace
}  // namespace braid::passes
