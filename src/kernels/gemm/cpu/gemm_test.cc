#include "kernels/gemm/cpu/gemm.h"

#include <algorithm>

#include "kernels/cpu/test_support.h"
#include "kernels/gemm/gemm_test_types.h"

namespace braid::kernels::cpu {
namespace {

template <typename Types>
class GemmTest : public testing::Test {};
TYPED_TEST_SUITE(GemmTest, AllGemmTypes);

struct Exact {
  double value = 0;
  double bound = 0;  // on the error of a float32 sum of k products
};

// x[row] · w[col] by the definition of k_slots, + bias.
template <typename T>
Exact exact_sum(const Grid<T>& x, int64_t row, const Grid<T>& w, int64_t n, int64_t col, int64_t k,
                int64_t k_slots, const Grid<T>* bias) {
  Exact out;
  double magnitude = 0;
  for (int64_t i = 0; i < k; ++i) {
    const int64_t slot = i / (k / k_slots);
    const double product = x.value(row, i) * w.value(slot * n + col, i % (k / k_slots));
    out.value += product;
    magnitude += std::abs(product);
  }
  if (bias != nullptr) {
    out.value += bias->value(0, col);
    magnitude += std::abs(bias->value(0, col));
  }
  out.bound = magnitude * static_cast<double>(k + 4) * 0x1p-24;
  return out;
}

template <typename Y>
void expect_near(double got, const Exact& exact) {
  ASSERT_NEAR(got, exact.value, exact.bound + std::abs(exact.value) * kRounding<Y>);
}

Exact swiglu(const Exact& gate, const Exact& up) {
  const double sigmoid = 1.0 / (1.0 + std::exp(-gate.value));
  const double value = gate.value * sigmoid * up.value;
  // |silu'| < 1.1
  const double bound = 1.1 * gate.bound * std::abs(up.value) + std::abs(gate.value) * up.bound +
                       std::abs(value) * 1e-6 + gate.bound * up.bound;
  return {value, bound};
}

template <typename X, typename Y>
void check_gemm(Random& random, const GemmDesc& desc, int64_t m, int64_t n, int64_t k,
                bool with_bias) {
  SCOPED_TRACE(testing::Message() << "m " << m << " n " << n << " k " << k << " k_slots "
                                  << desc.k_slots << " bias " << with_bias);
  const bool gated = desc.epilogue == Epilogue::swiglu;
  const Grid<X> x(random, m, k, random_below(random, 4));
  const Grid<X> w(random, n * desc.k_slots, k / desc.k_slots, random_below(random, 4));
  const Grid<X> bias(random, 1, n);
  Grid<Y> y(m, gated ? n / 2 : n, random_below(random, 4));
  gemm<X, X, Y>(desc, m, n, k, x.input(), w.input(), with_bias ? bias.input().data : nullptr,
                y.matrix());
  const auto sum = [&](int64_t row, int64_t col) {
    return exact_sum(x, row, w, n, col, k, desc.k_slots, with_bias ? &bias : nullptr);
  };
  for (int64_t r = 0; r < m; ++r) {
    for (int64_t c = 0; c < y.cols(); ++c) {
      expect_near<Y>(y.value(r, c), gated ? swiglu(sum(r, 2 * c), sum(r, 2 * c + 1)) : sum(r, c));
    }
  }
  y.expect_padding_kept();
}

TYPED_TEST(GemmTest, EqualsTheDefinitionOnAwkwardShapes) {
  using X = typename TypeParam::X;
  using Y = typename TypeParam::Y;
  Random random(1);
  for (const int64_t m : {0, 1, 2, 3, 4, 5, 10}) {
    for (const int64_t n : {1, 2, 4, 7, 8, 17, 34}) {
      for (const int64_t k : {1, 17, 32, 96}) {
        check_gemm<X, Y>(random, {}, m, n, k, (m + n) % 2 == 0);
        if (n % 2 == 0) check_gemm<X, Y>(random, {Epilogue::swiglu, 1}, m, n, k, m % 2 == 0);
      }
    }
  }
}

TYPED_TEST(GemmTest, EqualsTheDefinitionOnRandomShapes) {
  Random random(2);
  for (int i = 0; i < 60; ++i) {
    const auto slots = static_cast<int32_t>(1 + random_below(random, 3));
    const Epilogue epilogue = i % 3 == 0 ? Epilogue::swiglu : Epilogue::none;
    const int64_t n = (1 + random_below(random, 40)) * (i % 3 == 0 ? 2 : 1);
    check_gemm<typename TypeParam::X, typename TypeParam::Y>(
        random, {epilogue, slots}, 1 + random_below(random, 70), n,
        slots * (1 + random_below(random, 150)), i % 2 == 0);
  }
}

TYPED_TEST(GemmTest, RowsOverSeveralPanels) {
  Random random(3);
  check_gemm<typename TypeParam::X, typename TypeParam::Y>(random, {}, 27, 5, 40000, false);
}

TYPED_TEST(GemmTest, IsRowInvariant) {
  using X = typename TypeParam::X;
  using Y = typename TypeParam::Y;
  Random random(4);
  for (const GemmDesc desc : {GemmDesc{}, GemmDesc{Epilogue::swiglu, 1}, GemmDesc{{}, 2}}) {
    constexpr int64_t kN = 46, kK = 118;
    const Grid<X> x(random, 67, kK);
    const Grid<X> w(random, kN * desc.k_slots, kK / desc.k_slots);
    const Grid<X> bias(random, 1, kN);
    const int64_t cols = desc.epilogue == Epilogue::swiglu ? kN / 2 : kN;
    expect_row_invariant<Y>(cols, [&](int64_t first, int64_t count, Grid<Y>& out) {
      gemm<X, X, Y>(desc, count, kN, kK, x.input(first), w.input(), bias.input().data,
                    out.matrix());
    });
  }
}

// A panel's height follows from K; rows at its borders must not notice.
TYPED_TEST(GemmTest, IsRowInvariantAcrossPanels) {
  using X = typename TypeParam::X;
  using Y = typename TypeParam::Y;
  Random random(5);
  constexpr int64_t kN = 9, kK = 20000;
  const Grid<X> x(random, 67, kK);
  const Grid<X> w(random, kN, kK);
  expect_row_invariant<Y>(kN, [&](int64_t first, int64_t count, Grid<Y>& out) {
    gemm<X, X, Y>({}, count, kN, kK, x.input(first), w.input(), nullptr, out.matrix());
  });
}

TEST(GemmRoundingTest, Bfloat16IsRoundedOnceAtTheEnd) {
  Random random(6);
  constexpr int64_t kM = 5, kN = 22, kK = 90;
  const Grid<bf16> x(random, kM, kK), w(random, kN * 3, kK / 3), bias(random, 1, kN);
  for (const Epilogue epilogue : {Epilogue::none, Epilogue::swiglu}) {
    const GemmDesc desc{epilogue, 3};
    Grid<float> full(kM, kN);
    Grid<bf16> rounded(kM, kN);
    gemm<bf16, bf16, float>(desc, kM, kN, kK, x.input(), w.input(), bias.input().data,
                            full.matrix());
    gemm<bf16, bf16, bf16>(desc, kM, kN, kK, x.input(), w.input(), bias.input().data,
                           rounded.matrix());
    for (int64_t r = 0; r < kM; ++r) {
      for (int64_t c = 0; c < (epilogue == Epilogue::swiglu ? kN / 2 : kN); ++c) {
        ASSERT_EQ(rounded.at(r, c).bits, from_float<bf16>(full.at(r, c)).bits);
      }
    }
  }
}

// y = ((x0 · w0) + x1 · w1) + x2 · w2, each product as an unsplit GEMM gives it.
TEST(GemmKSlotsTest, ProductsAreAddedInTheOrderOfTheSlots) {
  Random random(7);
  constexpr int64_t kM = 4, kN = 13, kSlots = 3, kPart = 20;
  const Grid<float> x(random, kM, kSlots * kPart), w(random, kSlots * kN, kPart);
  Grid<float> y(kM, kN), sum(kM, kN), product(kM, kN);
  gemm<float, float, float>({Epilogue::none, kSlots}, kM, kN, kSlots * kPart, x.input(), w.input(),
                            nullptr, y.matrix());
  for (int64_t slot = 0; slot < kSlots; ++slot) {
    Matrix<const float> columns = x.input();
    columns.data += slot * kPart;
    gemm<float, float, float>({}, kM, kN, kPart, columns, w.input(slot * kN), nullptr,
                              product.matrix());
    for (int64_t r = 0; r < kM; ++r) {
      for (int64_t c = 0; c < kN; ++c) {
        sum.at(r, c) = slot == 0 ? product.at(r, c) : sum.at(r, c) + product.at(r, c);
      }
    }
  }
  for (int64_t r = 0; r < kM; ++r) EXPECT_TRUE(y.same_row(r, sum, r));
}

TEST(GemmTestValues, NotANumberStaysInItsRow) {
  Random random(8);
  Grid<float> x(random, 4, 20), w(random, 6, 20);
  x.at(2, 19) = std::nanf("");
  Grid<float> y(4, 6);
  gemm<float, float, float>({}, 4, 6, 20, x.input(), w.input(), nullptr, y.matrix());
  for (int64_t r = 0; r < 4; ++r) {
    for (int64_t c = 0; c < 6; ++c) EXPECT_EQ(std::isnan(y.at(r, c)), r == 2);
  }
}

TEST(GemmDeathTest, RefusesAnOddGatedWidthAndAnUnevenSplit) {
  float data[16] = {};
  const Matrix<const float> in{data, 1};
  const Matrix<float> out{data, 1};
  EXPECT_DEATH((gemm<float, float, float>({Epilogue::swiglu, 1}, 1, 3, 1, in, in, nullptr, out)),
               "n 3");
  EXPECT_DEATH((gemm<float, float, float>({Epilogue::none, 2}, 1, 1, 3, in, in, nullptr, out)),
               "k_slots 2");
}

}  // namespace
}  // namespace braid::kernels::cpu
