#include <algorithm>
#include <numeric>

#include "kernels/cpu/test_support.h"
#include "kernels/gemm/cpu/gemm.h"
#include "kernels/gemm/gemm_test_types.h"

namespace braid::kernels::cpu {
namespace {

template <typename Types>
class GroupedGemmTest : public testing::Test {};
TYPED_TEST_SUITE(GroupedGemmTest, AllGemmTypes);

// Offsets of `slots` groups of random sizes, some of them empty.
std::vector<int32_t> random_offsets(Random& random, int64_t slots) {
  std::vector<int32_t> offsets{0};
  for (int64_t s = 0; s < slots; ++s) {
    const int64_t size = random_below(random, 3) == 0 ? 0 : random_below(random, 12);
    offsets.push_back(offsets.back() + static_cast<int32_t>(size));
  }
  return offsets;
}

// Each group must be, byte for byte, the GEMM of its gathered rows with its slot's weights, whose
// values gemm_test.cc checks.
template <typename X, typename Y>
void check(Random& random, Epilogue epilogue, int64_t n, int64_t k, bool gather) {
  constexpr int64_t kSlots = 6, kTokens = 9;
  const auto offsets = random_offsets(random, kSlots);
  const int64_t rows = offsets.back();
  const Grid<X> x(random, gather ? kTokens : rows, k, 2);
  const Grid<X> w(random, kSlots * n, k, 1);
  std::vector<int32_t> source(static_cast<size_t>(rows) + 1);
  std::iota(source.begin(), source.end(), 0);
  if (gather) {
    for (int32_t& row : source) row = static_cast<int32_t>(random_below(random, kTokens));
  }
  const int64_t cols = epilogue == Epilogue::swiglu ? n / 2 : n;
  Grid<Y> y(rows, cols, 3), expected(1, cols);
  grouped_gemm<X, X, Y>({epilogue, kSlots}, n, k, x.input(), gather ? source.data() : nullptr,
                        offsets.data(), w.input(), y.matrix());
  for (int64_t slot = 0; slot < kSlots; ++slot) {
    const auto s = static_cast<size_t>(slot);
    for (int64_t row = offsets[s]; row < offsets[s + 1]; ++row) {
      gemm<X, X, Y>({epilogue, 1}, 1, n, k, x.input(source[static_cast<size_t>(row)]),
                    w.input(slot * n), nullptr, expected.matrix());
      ASSERT_TRUE(y.same_row(row, expected, 0)) << "slot " << slot << " row " << row;
    }
  }
  y.expect_padding_kept();
}

TYPED_TEST(GroupedGemmTest, EveryGroupIsTheGemmOfItsSlot) {
  using X = typename TypeParam::X;
  using Y = typename TypeParam::Y;
  Random random(1);
  for (const int64_t n : {2, 6, 16, 38}) {
    for (const int64_t k : {1, 17, 96}) {
      for (const bool gather : {false, true}) {
        check<X, Y>(random, Epilogue::none, n, k, gather);
        check<X, Y>(random, Epilogue::swiglu, n, k, gather);
      }
    }
  }
}

// A row's result must not depend on which rows share its group.
TYPED_TEST(GroupedGemmTest, IsRowInvariant) {
  using X = typename TypeParam::X;
  using Y = typename TypeParam::Y;
  Random random(2);
  constexpr int64_t kN = 22, kK = 50;
  const Grid<X> x(random, 67, kK);
  const Grid<X> w(random, 3 * kN, kK);
  for (int32_t slot = 0; slot < 3; ++slot) {
    expect_row_invariant<Y>(kN / 2, [&](int64_t first, int64_t count, Grid<Y>& out) {
      std::vector<int32_t> source(static_cast<size_t>(count));
      std::iota(source.begin(), source.end(), static_cast<int32_t>(first));
      std::vector<int32_t> offsets(4, 0);
      for (int32_t s = slot; s < 3; ++s) {
        offsets[static_cast<size_t>(s) + 1] = static_cast<int32_t>(count);
      }
      grouped_gemm<X, X, Y>({Epilogue::swiglu, 3}, kN, kK, x.input(), source.data(), offsets.data(),
                            w.input(), out.matrix());
    });
  }
}

TEST(GroupedGemmTestEdges, NoRowsAndNoSlots) {
  const int32_t offsets[] = {0, 0, 0};
  grouped_gemm<float, float, float>({Epilogue::none, 2}, 4, 4, {}, nullptr, offsets, {}, {});
  grouped_gemm<float, float, float>({Epilogue::none, 0}, 4, 4, {}, nullptr, offsets, {}, {});
}

}  // namespace
}  // namespace braid::kernels::cpu
