#include "kernels/moe/cuda/exchange.h"

#include "kernels/cuda/test_support.h"
#include "kernels/moe/cpu/exchange.h"

namespace braid::kernels::cuda {
namespace {

constexpr int64_t kGap = 3;  // elements behind each row

// Experts of which some are popular, about one of eight −1.
Grid<int32_t> random_ids(Random& random, int64_t rows, int64_t top_k, int32_t experts) {
  Grid<int32_t> ids(rows, top_k, kGap);
  for (int64_t t = 0; t < rows; ++t) {
    for (int64_t k = 0; k < top_k; ++k) {
      const int64_t bound = cpu::random_below(random, 3) == 0 ? (experts + 5) / 6 : experts;
      const bool none = cpu::random_below(random, 8) == 0;
      ids.at(t, k) = none ? -1 : static_cast<int32_t>(cpu::random_below(random, bound));
    }
  }
  return ids;
}

void expect_cpus_order(const Grid<int32_t>& ids, const RankOrderDesc& desc) {
  const int64_t rows = ids.rows(), top_k = ids.cols(), ranks = desc.ranks;
  SCOPED_TRACE(testing::Message() << rows << " x " << top_k << " for " << ranks << " ranks");
  const int64_t sends = most_sends(rows, top_k, ranks);
  std::vector<int32_t> counts(static_cast<size_t>(ranks)), source(static_cast<size_t>(sends));
  Grid<int32_t> places(rows, ranks);
  cpu::rank_order(desc, rows, top_k, ids.input(), counts.data(), source.data(), places.matrix());

  const DeviceGrid<int32_t> device_ids(ids), device_places(rows, ranks, kGap);
  const DeviceArray<int32_t> device_counts(ranks), device_source(sends);
  rank_order(desc, rows, top_k, device_ids.input(), device_counts.data(), device_source.data(),
             device_places.matrix(), nullptr);
  EXPECT_EQ(device_counts.fetch(), counts);
  EXPECT_EQ(device_source.fetch(), source);
  Grid<int32_t> got = device_places.fetch();
  expect_same(got, places, rows);
}

TEST(CudaRankOrderTest, EqualsTheCpu) {
  BRAID_NEEDS_GPU();
  Random random(1);
  for (const int32_t ranks : {1, 2, 3, 8, 32}) {
    for (const auto& [rows, top_k] : {std::pair<int64_t, int64_t>{1, 1},
                                      {1, 8},
                                      {5, 6},
                                      {32, 2},
                                      {127, 8},
                                      {1024, 3},
                                      {1025, 8},
                                      {16384, 8}}) {
      expect_cpus_order(random_ids(random, rows, top_k, ranks * 5), {ranks, 5});
    }
  }
}

TEST(CudaRankOrderTest, OneRankMayGetAllRowsOrNone) {
  BRAID_NEEDS_GPU();
  for (const int64_t rows : {0, 3, 3000}) {
    for (const int32_t id : {-1, 0, 31, 32}) {  // of the first rank, of the last, of none
      Grid<int32_t> ids(rows, 8);
      for (int64_t t = 0; t < rows; ++t) std::fill_n(ids.matrix().row(t), 8, id);
      expect_cpus_order(ids, {4, 8});
    }
  }
}

// Numbers of which some cancel, and zeros of both signs.
template <typename T>
Grid<T> random_rows(Random& random, int64_t rows, int64_t cols, int64_t gap) {
  Grid<T> from(random, rows, cols, gap);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) {
      if (r % 3 == 1) from.at(r, c) = from_float<T>(to_float(from.at(r, c)) * 1e6f);
      if (r % 3 == 2) from.at(r, c) = from_float<T>(-to_float(from.at(r - 1, c)));
      if ((r + c) % 7 == 0) from.at(r, c) = from_float<T>(-0.0f);
    }
  }
  return from;
}

Grid<int32_t> random_places(Random& random, int64_t rows, int64_t ranks, int64_t from) {
  Grid<int32_t> places(rows, ranks, kGap);
  for (int64_t t = 0; t < rows; ++t) {
    for (int64_t r = 0; r < ranks; ++r) {
      const auto place = static_cast<int32_t>(cpu::random_below(random, from + from / 2));
      places.at(t, r) = place < from && t % 5 != 4 ? place : -1;
    }
  }
  return places;
}

template <typename T>
class CudaMergeRanksTest : public testing::Test {};
using AllTypes = testing::Types<float, bf16>;
TYPED_TEST_SUITE(CudaMergeRanksTest, AllTypes);

TYPED_TEST(CudaMergeRanksTest, EqualsTheCpu) {
  BRAID_NEEDS_GPU();
  Random random(2);
  for (const int64_t ranks : {1, 2, 4, 5, 16}) {
    for (const auto& [rows, cols, gap] : {std::array<int64_t, 3>{1, 1, 0},
                                          {5, 96, 8},
                                          {17, 7168, 0},
                                          {127, 1000, 3},
                                          {33, 250, 6}}) {
      SCOPED_TRACE(testing::Message() << rows << " x " << cols << " of " << ranks << " ranks");
      const auto from = random_rows<TypeParam>(random, rows + 4, cols, gap);
      const Grid<int32_t> places = random_places(random, rows, ranks, rows + 4);
      Grid<TypeParam> want(rows, cols);
      cpu::merge_ranks<TypeParam>(rows, cols, ranks, from.input(), places.input(), want.matrix());
      const DeviceGrid<TypeParam> device_from(from), out(rows, cols, gap);
      const DeviceGrid<int32_t> device_places(places);
      merge_ranks<TypeParam>(rows, cols, ranks, device_from.input(), device_places.input(),
                             out.matrix(), nullptr);
      Grid<TypeParam> got = out.fetch();
      expect_same(got, want, rows);
    }
  }
}

TYPED_TEST(CudaMergeRanksTest, IsRowInvariant) {
  BRAID_NEEDS_GPU();
  Random random(3);
  const DeviceGrid<TypeParam> from(random_rows<TypeParam>(random, 40, 136, 0));
  const DeviceGrid<int32_t> places(random_places(random, 37, 4, 40));
  expect_row_invariant<TypeParam>(
      37, 136, [&](int64_t first, int64_t count, Matrix<TypeParam> out) {
        merge_ranks<TypeParam>(count, 136, 4, from.input(), places.input(first), out, nullptr);
      });
}

}  // namespace
}  // namespace braid::kernels::cuda
