#include "kernels/cpu/dot.h"

#include <vector>

#include "kernels/cpu/lanes.h"
#include "kernels/cpu/test_support.h"

namespace braid::kernels::cpu {
namespace {

float tree(const float* lanes) {
  return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) +
         ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

// The documented order, one element at a time: float32 rows go to the lanes in order, rows of a
// bfloat16 W by pairs.
template <typename X, typename W>
float scalar_dot(int64_t k, const X* x, const W* w) {
  float lanes[kLanes] = {};
  for (int64_t i = 0; i < k; i += kStep) {
    for (int64_t half = 0; half < 2; ++half) {
      for (int64_t lane = 0; lane < kLanes; ++lane) {
        const bool in_order = std::is_same_v<W, float>;
        const int64_t at = i + (in_order ? half * kLanes + lane : 2 * lane + half);
        if (at < k) lanes[lane] = std::fma(to_float(x[at]), to_float(w[at]), lanes[lane]);
      }
    }
  }
  return tree(lanes);
}

template <typename Types>
class DotTest : public testing::Test {};
struct Floats {
  using X = float;
  using W = float;
};
struct Brains {
  using X = bf16;
  using W = bf16;
};
struct Mixed {
  using X = float;
  using W = bf16;
};
using AllTypes = testing::Types<Floats, Brains, Mixed>;
TYPED_TEST_SUITE(DotTest, AllTypes);

TYPED_TEST(DotTest, EveryBlockSumsInTheDocumentedOrder) {
  using X = typename TypeParam::X;
  using W = typename TypeParam::W;
  Random random(1);
  for (const int64_t k : {0, 1, 7, 8, 15, 16, 17, 31, 32, 96, 257}) {
    Grid<X> x(random, kBlockRows, k, 5);
    Grid<W> w(random, kBlockCols, k, 1);
    const X* x_rows[] = {x.input().row(0), x.input().row(1), x.input().row(2)};
    const W* w_rows[kBlockCols];
    for (int64_t c = 0; c < kBlockCols; ++c) w_rows[c] = w.input().row(c);
    for (int64_t rows = 1; rows <= kBlockRows; ++rows) {
      for (int64_t cols = 1; cols <= kBlockCols; ++cols) {
        float sums[kBlockRows][kBlockCols];
        dot_block(rows, cols, k, x_rows, w_rows, sums);
        for (int64_t r = 0; r < rows; ++r) {
          for (int64_t c = 0; c < cols; ++c) {
            ASSERT_EQ(sums[r][c], scalar_dot(k, x_rows[r], w_rows[c]))
                << "k " << k << " block " << rows << "x" << cols << " at " << r << "," << c;
          }
        }
      }
    }
  }
}

TYPED_TEST(DotTest, DotRowsCoversEveryPairAndNothingElse) {
  using X = typename TypeParam::X;
  using W = typename TypeParam::W;
  Random random(2);
  constexpr int64_t kK = 21;
  Grid<X> x(random, 8, kK);
  Grid<W> w(random, 19, kK);
  for (const int64_t rows : {0, 1, 2, 3, 4, 8}) {
    for (const int64_t cols : {0, 1, 3, 4, 9, 19}) {
      Grid<float> out(rows, cols, 2);
      dot_rows(
          rows, cols, kK, [&](int64_t r) { return x.input().row(r); },
          [&](int64_t c) { return w.input().row(c); }, out.matrix().data, cols + 2);
      for (int64_t r = 0; r < rows; ++r) {
        for (int64_t c = 0; c < cols; ++c) {
          ASSERT_EQ(out.at(r, c), scalar_dot(kK, x.input().row(r), w.input().row(c)));
        }
      }
      out.expect_padding_kept();
    }
  }
}

TEST(LanesTest, SumsOfOneAndOfFourHaveOneOrder) {
  Random random(3);
  Grid<float> values(random, 4, kLanes);
  for (int64_t r = 0; r < 4; ++r) values.at(r, r) *= 1e6f;  // so that the order shows
  const auto row = [&](int64_t r) { return load(values.input().row(r)); };
  const Quad four = sum_of_each(row(0), row(1), row(2), row(3));
  for (int64_t r = 0; r < 4; ++r) {
    EXPECT_EQ(four[r], tree(values.input().row(r)));
    EXPECT_EQ(sum_of(row(r)), tree(values.input().row(r)));
  }
}

TEST(LanesTest, SumTermsGivesTermIToLaneIMod8) {
  Random random(4);
  for (const int64_t count : {0, 1, 7, 8, 9, 64, 67}) {
    Grid<float> terms(random, 1, count + 1);
    float lanes[kLanes] = {};
    for (int64_t i = 0; i < count; ++i) lanes[i % kLanes] += terms.at(0, i);
    EXPECT_EQ(sum_terms(count, [&](int64_t i) { return terms.at(0, i); }), tree(lanes)) << count;
  }
}

TEST(LanesTest, FmaRoundsOnce) {
  const float x = 1.0f + 0x1p-12f;
  const Lanes result = fma(broadcast(x), broadcast(x), broadcast(-1.0f - 0x1p-11f));
  for (int lane = 0; lane < kLanes; ++lane) EXPECT_EQ(result[lane], 0x1p-24f);
}

template <typename W>
void expect_halves_round_trip() {
  Random random(5);
  Grid<W> row(random, 1, kStep);
  const W* from = row.input().data;
  float back[kStep];
  store_halves<W>(back, load_half<W, 0>(from), load_half<W, 1>(from));
  for (int64_t i = 0; i < kStep; ++i) EXPECT_EQ(back[i], to_float(from[i]));
}

TEST(LanesTest, StoreHalvesUndoesLoadHalf) {
  expect_halves_round_trip<float>();
  expect_halves_round_trip<bf16>();
}

TEST(LanesTest, AFloatRowMeetsABfloat16RowInTheSameOrder) {
  float x[kStep];
  bf16 w[kStep];
  for (int64_t i = 0; i < kStep; ++i) {
    x[i] = static_cast<float>(i);
    w[i] = from_float<bf16>(x[i]);
  }
  const Lanes even = load_half<bf16, 0>(x) - load_half<bf16, 0>(w);
  const Lanes odd = load_half<bf16, 1>(x) - load_half<bf16, 1>(w);
  for (int lane = 0; lane < kLanes; ++lane) {
    EXPECT_EQ(even[lane], 0.0f);
    EXPECT_EQ(odd[lane], 0.0f);
  }
}

}  // namespace
}  // namespace braid::kernels::cpu
