#include "kernels/attention/cuda/attention_plan.h"

#include "kernels/attention/cpu/attention_plan.h"
#include "kernels/attention/cuda/step_test_support.h"

namespace braid::kernels::cuda {
namespace {

template <typename T>
std::vector<T> fetch(const T* data, int64_t count) {
  std::vector<T> out(static_cast<size_t>(count));
  expect_cuda(cudaMemcpy(out.data(), data, out.size() * sizeof(T), cudaMemcpyDeviceToHost));
  return out;
}

// What a plan says of a row: how often each of its heads is in a valid tile, and of which size.
struct Coverage {
  std::vector<int> heads;  // [rows · group]
  std::vector<int> tile_rows;
};

struct Planned {
  std::vector<int32_t> first_rows, num_rows, lengths, pages;
  Coverage coverage;
};

void cover(const AttentionTiles& tiles, const AttentionPlan& plan, Planned& planned) {
  const auto requests = fetch(tiles.requests, tiles.num_tiles);
  const auto indices = fetch(tiles.indices, tiles.num_tiles);
  std::vector<uint8_t> valid =
      fetch(reinterpret_cast<const uint8_t*>(tiles.valid), tiles.num_tiles);
  for (size_t i = 0; i < valid.size(); ++i) {
    if (valid[i] == 0) continue;
    const auto request = static_cast<size_t>(requests[i]);
    const int64_t end = planned.num_rows[request] * plan.group;
    const int64_t first = int64_t{indices[i]} * tiles.tile_rows;
    ASSERT_LT(first, end);
    for (int64_t h = first; h < std::min(end, first + tiles.tile_rows); ++h) {
      const auto at = static_cast<size_t>(planned.first_rows[request] * plan.group + h);
      ++planned.coverage.heads.at(at);
      planned.coverage.tile_rows.at(at / static_cast<size_t>(plan.group)) = tiles.tile_rows;
    }
  }
}

// The words of a plan that the CPU made.
std::vector<int32_t> words_on_cpu(const AttentionPlanDesc& desc, const StepRows& rows,
                                  const Grid<int32_t>& table) {
  const AttentionPlan sizes(desc, rows.size(), rows.num_sequences);
  std::vector<int32_t> words(static_cast<size_t>(sizes.words), -1);  // as DeviceArray is
  const AttentionPlan plan(desc, rows.size(), rows.num_sequences, words.data());
  cpu::plan_attention(plan, {rows.size(), rows.sequences.data(), rows.positions.data(),
                             table.input(), rows.num_sequences, table.cols()});
  return words;
}

Planned run(const AttentionPlanDesc& desc, const StepRows& rows, const Grid<int32_t>& table) {
  const DeviceRows device(rows, table, 0, rows.size());
  const AttentionPlan sizes(desc, rows.size(), rows.num_sequences);
  const DeviceArray<int32_t> words(sizes.words);
  const AttentionPlan plan(desc, rows.size(), rows.num_sequences, words.data());
  plan_attention(plan, device.paged, nullptr);
  Planned planned{fetch(plan.first_rows, plan.num_requests),
                  fetch(plan.num_rows, plan.num_requests),
                  fetch(plan.lengths, plan.num_requests),
                  fetch(plan.pages, plan.num_requests + 1),
                  {}};
  planned.coverage.heads.resize(static_cast<size_t>(rows.size() * plan.group));
  planned.coverage.tile_rows.resize(static_cast<size_t>(rows.size()));
  cover(plan.small, plan, planned);
  cover(plan.large, plan, planned);
  const int64_t tiles = std::max(plan.small.num_tiles, plan.large.num_tiles);
  EXPECT_EQ(fetch(plan.zeros, tiles), std::vector<int32_t>(static_cast<size_t>(tiles), 0));
  EXPECT_GT(fetch(plan.no_chunk, 1)[0], 1 << 24);
  EXPECT_EQ(words.fetch(), words_on_cpu(desc, rows, table));
  return planned;
}

void check(const AttentionPlanDesc& desc, const std::vector<Stretch>& stretches,
           int64_t table_rows) {
  const StepRows rows(stretches, table_rows);
  SCOPED_TRACE(testing::Message() << rows.size() << " rows, " << table_rows << " sequences");
  const int64_t group = desc.group;
  const bool alone = rows.size() <= table_rows;
  Random random(1);
  const StepCache cache(random, rows, 16, 8, 0);
  const Planned planned = run(desc, rows, cache.table);
  const int64_t stride = cache.table.input().stride;
  EXPECT_EQ(planned.pages.back(), table_rows * stride);
  for (int64_t t = 0; t < rows.size(); ++t) {
    const auto row = static_cast<size_t>(t);
    const int32_t sequence = rows.sequences[row];
    for (int64_t g = 0; g < group; ++g) {
      ASSERT_EQ(planned.coverage.heads[row * static_cast<size_t>(group) + static_cast<size_t>(g)],
                sequence < 0 ? 0 : 1)
          << "row " << t;
    }
    if (sequence < 0) continue;
    const bool single =
        alone || std::count(rows.sequences.begin(), rows.sequences.end(), sequence) == 1;
    ASSERT_EQ(planned.coverage.tile_rows[row], single ? kSmallTile : kLargeTile);
    const size_t request = alone ? row : static_cast<size_t>(sequence);
    ASSERT_EQ(planned.pages[request], sequence * stride);
    // The last row stands at the last of the positions, the others before it.
    const int32_t behind =
        planned.first_rows[request] + planned.num_rows[request] - 1 - static_cast<int32_t>(t);
    ASSERT_EQ(planned.lengths[request] - 1 - behind, rows.positions[row]);
  }
}

TEST(CudaAttentionPlanTest, EveryHeadOfEveryRowIsInOneTile) {
  BRAID_NEEDS_GPU();
  for (const int32_t group : {1, 4, 8, 12, 20}) {
    const AttentionPlanDesc desc{group};
    check(desc, {decode(0)}, 1);
    check(desc, {decode(5), padding(1), decode(90), decode(17)}, 4);
    check(desc, {decode(5), decode(90), padding(3), prefill(0, 40), prefill(7, 2), padding(9)}, 7);
    check(desc, {prefill(3, 3), prefill(0, 5)}, 8);  // no more rows than sequences: all alone
    check(desc, {prefill(30, 700), decode(0), prefill(0, 128)}, 3);
    check(desc, {padding(6)}, 2);
  }
}

// More sequences than the planning block has threads, more rows than it takes at a time.
TEST(CudaAttentionPlanTest, ManySequencesAndRows) {
  BRAID_NEEDS_GPU();
  std::vector<Stretch> stretches;
  for (int32_t i = 0; i < 1500; ++i) {
    stretches.push_back(i % 5 == 0 ? prefill(i % 7, 2 + i % 3) : decode(i % 11));
    if (i % 50 == 0) stretches.push_back(padding(1));
  }
  check({8}, stretches, 1600);
  check({8}, {prefill(0, 4500), padding(20), prefill(9, 3000)}, 9);
}

}  // namespace
}  // namespace braid::kernels::cuda
