#include "kernels/moe/cpu/moe.h"

#include <algorithm>

#include "kernels/cpu/test_support.h"
#include "kernels/gemm/cpu/gemm.h"
#include "kernels/rows/cpu/rows.h"

namespace braid::kernels::cpu {
namespace {

struct Permuted {
  std::vector<int32_t> offsets;
  std::vector<int32_t> source;
  Grid<int32_t> places;
};

// Random slots, about one of six choices −1.
Grid<int32_t> random_ids(Random& random, int64_t rows, int64_t top_k, int32_t slots) {
  Grid<int32_t> ids(rows, top_k, 2);
  for (int64_t t = 0; t < rows; ++t) {
    for (int64_t k = 0; k < top_k; ++k) {
      ids.at(t, k) =
          random_below(random, 6) == 0 ? -1 : static_cast<int32_t>(random_below(random, slots));
    }
  }
  return ids;
}

Permuted run(const Grid<int32_t>& ids, int32_t slots, int32_t first_slot = 0,
             const SlotTable& table = {}) {
  Permuted out{std::vector<int32_t>(static_cast<size_t>(slots) + 1, -7),
               std::vector<int32_t>(static_cast<size_t>(ids.rows() * ids.cols()), -7),
               Grid<int32_t>(ids.rows(), ids.cols(), 1)};
  permute({slots, first_slot}, ids.rows(), ids.cols(), ids.input(), table, out.offsets.data(),
          out.source.data(), out.places.matrix());
  return out;
}

// Everything that is promised of a permutation.
void check(Grid<int32_t>& ids, int32_t slots) {
  Permuted got = run(ids, slots);
  std::vector<int32_t> sizes(static_cast<size_t>(slots), 0);
  std::vector<int> used(got.source.size(), 0);
  for (int64_t t = 0; t < ids.rows(); ++t) {
    for (int64_t k = 0; k < ids.cols(); ++k) {
      const int32_t slot = ids.at(t, k);
      const int32_t place = got.places.at(t, k);
      if (slot < 0) {
        ASSERT_EQ(place, -1);
        continue;
      }
      ++sizes[static_cast<size_t>(slot)];
      ASSERT_GE(place, got.offsets[static_cast<size_t>(slot)]);
      ASSERT_LT(place, got.offsets[static_cast<size_t>(slot) + 1]);
      ASSERT_EQ(got.source[static_cast<size_t>(place)], t);
      ++used[static_cast<size_t>(place)];
    }
  }
  ASSERT_EQ(got.offsets[0], 0);
  for (size_t s = 0; s < sizes.size(); ++s) {
    ASSERT_EQ(got.offsets[s + 1] - got.offsets[s], sizes[s]);
    ASSERT_TRUE(std::is_sorted(got.source.begin() + got.offsets[s],
                               got.source.begin() + got.offsets[s + 1]));
  }
  for (size_t i = 0; i < used.size(); ++i) {
    const bool inside = static_cast<int32_t>(i) < got.offsets.back();
    ASSERT_EQ(used[i], inside ? 1 : 0) << i;
    ASSERT_TRUE(inside || got.source[i] == -7) << "written behind the end";
  }
  got.places.expect_padding_kept();
}

TEST(PermuteTest, KeepsItsPromisesOnRandomIds) {
  Random random(1);
  for (const int64_t rows : {0, 1, 2, 9, 100}) {
    for (const int64_t top_k : {1, 3, 8}) {
      for (const int32_t slots : {1, 2, 16, 200}) {
        auto ids = random_ids(random, rows, top_k, slots);
        check(ids, slots);
      }
    }
  }
}

TEST(PermuteTest, AnExample) {
  Grid<int32_t> ids(3, 2);
  const int32_t values[] = {2, 0, -1, 2, 0, 3};
  std::copy_n(values, 6, ids.matrix().data);
  Permuted got = run(ids, 4);
  EXPECT_EQ(got.offsets, (std::vector<int32_t>{0, 2, 2, 4, 5}));
  EXPECT_EQ(got.source, (std::vector<int32_t>{0, 2, 0, 1, 2, -7}));
  const int32_t places[3][2] = {{2, 0}, {-1, 3}, {1, 4}};
  for (int64_t t = 0; t < 3; ++t) {
    for (int64_t k = 0; k < 2; ++k) EXPECT_EQ(got.places.at(t, k), places[t][k]);
  }
}

TEST(PermuteTest, ARowThatChoosesASlotTwiceKeepsTheOrderOfItsChoices) {
  Grid<int32_t> ids(1, 3);
  for (int64_t k = 0; k < 3; ++k) ids.at(0, k) = 1;
  Permuted got = run(ids, 2);
  for (int64_t k = 0; k < 3; ++k) EXPECT_EQ(got.places.at(0, k), k);
}

TEST(PermuteTest, NothingButMinusOnes) {
  Grid<int32_t> ids(4, 2);
  for (int64_t t = 0; t < 4; ++t) ids.at(t, 0) = ids.at(t, 1) = -1;
  check(ids, 3);
}

// Replicas of experts on two ranks of three slots each; the last entry of each row is its end.
constexpr int32_t kTable[4][3] = {{0, 4, -1}, {1, -1, -1}, {2, 3, -1}, {5, -1, -1}};

TEST(PermuteTest, RowsTakeTurnsAmongReplicas) {
  const SlotTable table{kTable[0], 3};
  Random random(5);
  Grid<int32_t> ids = random_ids(random, 40, 3, 4);
  for (const int32_t rank : {0, 1}) {
    Permuted got = run(ids, 3, 3 * rank, table);
    int32_t here = 0;
    for (int64_t t = 0; t < ids.rows(); ++t) {
      for (int64_t k = 0; k < ids.cols(); ++k) {
        const int32_t expert = ids.at(t, k);
        const int64_t replicas = expert == 0 || expert == 2 ? 2 : 1;
        const int32_t slot = expert < 0 ? -1 : kTable[expert][t % replicas] - 3 * rank;
        const int32_t place = got.places.at(t, k);
        if (slot < 0 || slot >= 3) {
          ASSERT_EQ(place, -1);
          continue;
        }
        ++here;
        ASSERT_GE(place, got.offsets[static_cast<size_t>(slot)]);
        ASSERT_LT(place, got.offsets[static_cast<size_t>(slot) + 1]);
        ASSERT_EQ(got.source[static_cast<size_t>(place)], t);
      }
    }
    EXPECT_EQ(got.offsets.back(), here);
  }
}

// Every choice is on exactly one rank, whatever the table.
TEST(PermuteTest, RanksShareTheChoicesOfATable) {
  const SlotTable table{kTable[0], 3};
  Random random(6);
  const Grid<int32_t> ids = random_ids(random, 100, 2, 4);
  Permuted first = run(ids, 3, 0, table), second = run(ids, 3, 3, table);
  for (int64_t t = 0; t < ids.rows(); ++t) {
    for (int64_t k = 0; k < ids.cols(); ++k) {
      const bool on_first = first.places.at(t, k) >= 0, on_second = second.places.at(t, k) >= 0;
      EXPECT_EQ(on_first + on_second, ids.input().row(t)[k] < 0 ? 0 : 1);
    }
  }
}

TEST(PermuteTest, ATableOfTheSameSlotsChangesNothing) {
  const std::vector<int32_t> same = {0, 1, 2, 3, 4, 5};
  Random random(7);
  const Grid<int32_t> ids = random_ids(random, 50, 3, 6);
  for (const int32_t first : {0, 2}) {
    const Permuted plain = run(ids, 4, first), by_table = run(ids, 4, first, {same.data(), 1});
    EXPECT_EQ(by_table.offsets, plain.offsets);
    EXPECT_EQ(by_table.source, plain.source);
  }
}

// Every row goes to the last two slots, too, whatever it chose.
TEST(PermuteTest, SharedSlotsHaveEveryRow) {
  Random random(8);
  Grid<int32_t> ids = random_ids(random, 30, 3, 5);
  Permuted got{std::vector<int32_t>(8), std::vector<int32_t>(30 * 5, -7), Grid<int32_t>(30, 5, 1)};
  permute({.num_slots = 7, .num_shared = 2}, 30, 3, ids.input(), {}, got.offsets.data(),
          got.source.data(), got.places.matrix());
  Permuted routed = run(ids, 5);
  EXPECT_TRUE(std::equal(routed.offsets.begin(), routed.offsets.end(), got.offsets.begin()));
  EXPECT_EQ(got.offsets[6] - got.offsets[5], 30);
  EXPECT_EQ(got.offsets[7] - got.offsets[6], 30);
  for (int64_t t = 0; t < 30; ++t) {
    for (int64_t k = 0; k < 3; ++k) EXPECT_EQ(got.places.at(t, k), routed.places.at(t, k));
    for (int64_t k = 3; k < 5; ++k) {
      EXPECT_EQ(got.places.at(t, k), got.offsets[static_cast<size_t>(2 + k)] + t);
      EXPECT_EQ(got.source[static_cast<size_t>(got.places.at(t, k))], t);
    }
  }
}

// An id that would be a shared slot's is no expert's.
TEST(PermuteTest, NoChoiceGoesToASharedSlot) {
  Grid<int32_t> ids(2, 1), places(2, 2);
  ids.at(0, 0) = 3;
  ids.at(1, 0) = 2;
  std::vector<int32_t> offsets(5), source(4);
  permute({.num_slots = 4, .num_shared = 1}, 2, 1, ids.input(), {}, offsets.data(), source.data(),
          places.matrix());
  EXPECT_EQ(offsets, (std::vector<int32_t>{0, 0, 0, 1, 3}));
  EXPECT_EQ(places.at(0, 0), -1);
}

template <typename T>
class CombineTest : public testing::Test {};
using AllTypes = testing::Types<float, bf16>;
TYPED_TEST_SUITE(CombineTest, AllTypes);

template <typename T>
Grid<T> combined(const Grid<T>& grouped, const Grid<int32_t>& places, const Grid<float>& weights) {
  Grid<T> out(places.rows(), grouped.cols(), 2);
  combine<T>(CombineDesc{}, places.rows(), grouped.cols(), places.cols(), grouped.input(),
             places.input(), weights.input(), out.matrix());
  out.expect_padding_kept();
  return out;
}

// What stands behind the weights counts once, whatever factor is in them.
TYPED_TEST(CombineTest, SharedPlacesHaveTheWeightOne) {
  Random random(9);
  const Grid<TypeParam> grouped(random, 20, 70, 1);
  Grid<float> weights(random, 5, 2, 1);
  Grid<int32_t> places = random_ids(random, 5, 4, 20);
  Grid<float> all(5, 4);
  for (int64_t t = 0; t < 5; ++t) {
    for (int64_t k = 0; k < 4; ++k) all.at(t, k) = k < 2 ? weights.at(t, k) : 1.0f;
  }
  Grid<TypeParam> got(5, 70, 2), want = combined(grouped, places, all);
  combine<TypeParam>({.num_shared = 2}, 5, 70, 2, grouped.input(), places.input(), weights.input(),
                     got.matrix());
  for (int64_t t = 0; t < 5; ++t) {
    for (int64_t i = 0; i < 70; ++i) {
      ASSERT_EQ(to_float(got.at(t, i)), to_float(want.at(t, i))) << t << " " << i;
    }
  }
  got.expect_padding_kept();
}

// Float32, in the order of k, rounded once: bit for bit.
TYPED_TEST(CombineTest, AddsInTheOrderOfChoices) {
  Random random(2);
  for (const int64_t cols : {1, 63, 64, 65, 200}) {
    for (const int64_t top_k : {1, 2, 8}) {
      const Grid<TypeParam> grouped(random, 30, cols, 1);
      Grid<float> weights(random, 12, top_k, 1);
      auto places = random_ids(random, 12, top_k, 30);
      Grid<TypeParam> got = combined(grouped, places, weights);
      for (int64_t t = 0; t < 12; ++t) {
        for (int64_t c = 0; c < cols; ++c) {
          float sum = 0;
          for (int64_t k = 0; k < top_k; ++k) {
            const int32_t place = places.at(t, k);
            if (place < 0) continue;
            sum = std::fma(weights.at(t, k), static_cast<float>(grouped.value(place, c)), sum);
          }
          ASSERT_EQ(got.value(t, c), static_cast<double>(to_float(from_float<TypeParam>(sum))));
        }
      }
    }
  }
}

TYPED_TEST(CombineTest, ARowOfMinusOnesIsZero) {
  Random random(3);
  const Grid<TypeParam> grouped(random, 2, 70);
  const Grid<float> weights(random, 1, 3);
  Grid<int32_t> places(1, 3);
  for (int64_t k = 0; k < 3; ++k) places.at(0, k) = -1;
  Grid<TypeParam> got = combined(grouped, places, weights);
  for (int64_t c = 0; c < 70; ++c) EXPECT_EQ(got.value(0, c), 0.0);
}

TYPED_TEST(CombineTest, IsRowInvariant) {
  Random random(4);
  const Grid<TypeParam> grouped(random, 90, 75);
  const Grid<float> weights(random, 67, 5);
  const auto places = random_ids(random, 67, 5, 90);
  expect_row_invariant<TypeParam>(75, [&](int64_t first, int64_t count, Grid<TypeParam>& out) {
    combine<TypeParam>(CombineDesc{}, count, 75, 5, grouped.input(), places.input(first),
                       weights.input(first), out.matrix());
  });
}

// Products, sums and additions as the ops that experts_down() stands for make them.
template <typename T>
class ExpertsDownTest : public testing::Test {};
TYPED_TEST_SUITE(ExpertsDownTest, AllTypes);

TYPED_TEST(ExpertsDownTest, HasTheBitsOfProductsCombinationAndSums) {
  using T = TypeParam;
  constexpr int64_t kRows = 9, kN = 40, kK = 24, kTopK = 3, kGrouped = kRows * (kTopK + 1);
  constexpr int32_t kSlots = 6;
  Random random(21);
  const auto ids = random_ids(random, kRows, kTopK, kSlots - 1);
  std::vector<int32_t> offsets(kSlots + 1), source(kGrouped);
  Grid<int32_t> places(kRows, kTopK + 1);
  permute({.num_slots = kSlots, .num_shared = 1}, kRows, kTopK, ids.input(), {}, offsets.data(),
          source.data(), places.matrix());
  const Grid<T> x(random, kGrouped, kK, 3), w(random, kSlots * kN, kK);
  const Grid<T> shared(random, kRows, kN, 1), residual(random, kRows, kN, 2);
  const Grid<float> weights(random, kRows, kTopK);

  Grid<T> grouped(kGrouped, kN);
  grouped_gemm<T, T, T>({.num_slots = kSlots}, kN, kK, x.input(), nullptr, offsets.data(),
                        w.input(), grouped.matrix());
  Grid<T> sum(kRows, kN);
  combine<T>({.num_shared = 1}, kRows, kN, kTopK, grouped.input(), places.input(), weights.input(),
             sum.matrix());
  for (const auto& [has_shared, has_residual] :
       {std::pair{false, false}, {false, true}, {true, false}, {true, true}}) {
    Grid<T> want = sum;
    if (has_shared) add<T>(kRows, kN, want.input(), shared.input(), want.matrix());
    if (has_residual) add<T>(kRows, kN, want.input(), residual.input(), want.matrix());
    Grid<T> got(kRows, kN, 4);
    ExpertsDownArgs<T> args{.rows = kRows,
                            .n = kN,
                            .k = kK,
                            .top_k = kTopK,
                            .grouped_rows = kGrouped,
                            .x = x.input(),
                            .offsets = offsets.data(),
                            .w = w.input(),
                            .places = places.input(),
                            .weights = weights.input(),
                            .addends = {},
                            .out = got.matrix()};
    if (has_shared) args.addends.shared = shared.input();
    if (has_residual) args.addends.residual = residual.input();
    std::vector<std::byte> scratch(
        static_cast<size_t>(experts_down_scratch_bytes(kGrouped, kN, sizeof(T))));
    experts_down<T>({.num_slots = kSlots, .num_shared = 1}, args, scratch.data());
    for (int64_t t = 0; t < kRows; ++t) EXPECT_TRUE(got.same_row(t, want, t)) << "row " << t;
    got.expect_padding_kept();
  }
}

// Three owners of 2, 1 and 3 of six experts: each orders the choices that it holds, as one owner of
// all would, and no choice is lost or here twice.
TEST(PermuteTest, OwnersOfSomeExpertsShareTheChoices) {
  Random random(9);
  auto ids = random_ids(random, 40, 3, 6);
  Permuted all = run(ids, 6);
  std::vector<int> holders(40 * 3);
  for (const auto& [first, count] : {std::pair{0, 2}, {2, 1}, {3, 3}}) {
    Permuted part = run(ids, count, first);
    const int32_t skipped = all.offsets[static_cast<size_t>(first)];
    for (int32_t s = 0; s <= count; ++s) {
      EXPECT_EQ(part.offsets[static_cast<size_t>(s)],
                all.offsets[static_cast<size_t>(first + s)] - skipped);
    }
    EXPECT_TRUE(std::equal(part.source.begin(), part.source.begin() + part.offsets.back(),
                           all.source.begin() + skipped));
    for (int64_t t = 0; t < 40; ++t) {
      for (int64_t k = 0; k < 3; ++k) {
        const int32_t id = ids.at(t, k);
        const bool here = id >= first && id < first + count;
        EXPECT_EQ(part.places.at(t, k), here ? all.places.at(t, k) - skipped : -1);
        holders[static_cast<size_t>(t * 3 + k)] += here ? 1 : 0;
      }
    }
  }
  for (int64_t t = 0; t < 40; ++t) {
    for (int64_t k = 0; k < 3; ++k) {
      EXPECT_EQ(holders[static_cast<size_t>(t * 3 + k)], ids.at(t, k) >= 0 ? 1 : 0);
    }
  }
}

// permute, then combine with the grouped rows x[source]: Σ_k weights[t, k] · x[t].
TEST(CombineTestMeaning, UndoesPermute) {
  Random random(5);
  auto ids = random_ids(random, 20, 4, 6);
  const Grid<float> x(random, 20, 10), weights(random, 20, 4);
  Permuted permuted = run(ids, 6);
  Grid<float> grouped(80, 10);
  for (int64_t i = 0; i < permuted.offsets.back(); ++i) {
    std::copy_n(x.input().row(permuted.source[static_cast<size_t>(i)]), 10,
                grouped.matrix().row(i));
  }
  Grid<float> out = combined(grouped, permuted.places, weights);
  for (int64_t t = 0; t < 20; ++t) {
    double factor = 0;
    for (int64_t k = 0; k < 4; ++k) factor += ids.at(t, k) < 0 ? 0 : weights.value(t, k);
    for (int64_t c = 0; c < 10; ++c) EXPECT_NEAR(out.value(t, c), factor * x.value(t, c), 1e-6);
  }
}

}  // namespace
}  // namespace braid::kernels::cpu
