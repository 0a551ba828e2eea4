#include "kernels/attention/cpu/attention.h"

#include "kernels/attention/cpu/paged_test_support.h"

namespace braid::kernels::cpu {
namespace {

template <typename T>
class AttentionTest : public testing::Test {};
using AllTypes = testing::Types<float, bf16>;
TYPED_TEST_SUITE(AttentionTest, AllTypes);

AttentionDesc desc_of(int32_t heads, int32_t kv_heads, int32_t head_dim) {
  AttentionDesc desc;
  desc.num_heads = heads;
  desc.num_kv_heads = kv_heads;
  desc.head_dim = head_dim;
  desc.scale = 2.0f / std::sqrt(static_cast<float>(head_dim));  // sharper than usual
  return desc;
}

template <typename T>
void run(AttentionDesc desc, int64_t page_size, const PagedCache<T>& cache, const Places& places,
         int64_t first, const Grid<T>& q, Grid<T>& out) {
  desc.page_size = static_cast<int32_t>(page_size);
  // Scratch of exactly the promised size, so that AddressSanitizer sees what is behind it.
  std::vector<std::byte> scratch(
      static_cast<size_t>(attention_scratch_bytes(desc, cache.max_positions())));
  attention<T>(desc, cache.places(places, first, out.rows()), q.input(first), cache.rows(),
               out.matrix(), scratch.data());
  out.expect_padding_kept();
}

template <typename T>
double exact(const AttentionDesc& desc, const Tokens<T>& tokens, const Grid<T>& q, int64_t row,
             int64_t sequence, int64_t position, int64_t col) {
  const int64_t dim = desc.head_dim;
  const int64_t head = col / dim;
  const int64_t kv = head / (desc.num_heads / desc.num_kv_heads);
  std::vector<double> weights;
  for (int64_t p = 0; p <= position; ++p) {
    double score = 0;
    for (int64_t i = 0; i < dim; ++i) {
      score += q.value(row, head * dim + i) * tokens.value(sequence, p, kv * dim + i);
    }
    weights.push_back(score * static_cast<double>(desc.scale));
  }
  weights = exact_softmax(weights);
  double sum = 0;
  for (int64_t p = 0; p <= position; ++p) {
    const int64_t value_col = (desc.num_kv_heads + kv) * dim + col % dim;
    sum += weights[static_cast<size_t>(p)] * tokens.value(sequence, p, value_col);
  }
  return sum;
}

template <typename T>
void check(Random& random, const AttentionDesc& desc, int64_t page_size,
           std::vector<int64_t> lengths = {19, 1, 50}) {
  const Tokens<T> tokens(random, std::move(lengths), 2 * desc.num_kv_heads * desc.head_dim);
  const PagedCache<T> cache(random, tokens, page_size);
  const Places places = random_places(random, tokens.lengths, 20);
  const int64_t cols = desc.num_heads * desc.head_dim;
  const Grid<T> q(random, 20, cols, 3);
  Grid<T> out(20, cols, 1);
  run(desc, page_size, cache, places, 0, q, out);
  for (int64_t row = 0; row < 20; ++row) {
    const auto r = static_cast<size_t>(row);
    for (int64_t col = 0; col < cols; ++col) {
      const double want = places.sequences[r] < 0 ? 0.0
                                                  : exact(desc, tokens, q, row, places.sequences[r],
                                                          places.positions[r], col);
      ASSERT_NEAR(out.value(row, col), want, std::abs(want) * kRounding<T> + 3e-6)
          << "row " << row << " column " << col;
    }
  }
}

TYPED_TEST(AttentionTest, EqualsTheDefinition) {
  Random random(1);
  for (const int64_t page_size : {1, 3, 16}) {
    check<TypeParam>(random, desc_of(1, 1, 8), page_size);
    check<TypeParam>(random, desc_of(4, 2, 64), page_size);
    check<TypeParam>(random, desc_of(5, 1, 17), page_size);
    check<TypeParam>(random, desc_of(6, 6, 33), page_size);
    check<TypeParam>(random, desc_of(8, 2, 128), page_size);
    check<TypeParam>(random, desc_of(2, 1, 1), page_size);
  }
}

// Longer than what the sums over values take at a time.
TYPED_TEST(AttentionTest, EqualsTheDefinitionFarBack) {
  Random random(9);
  check<TypeParam>(random, desc_of(3, 1, 40), 16, {700});
}

TYPED_TEST(AttentionTest, PageSizeChangesNoBit) {
  Random random(2);
  const AttentionDesc desc = desc_of(6, 2, 40);
  const Tokens<TypeParam> tokens(random, {130, 70}, 2 * 2 * 40);
  const Places places = random_places(random, tokens.lengths, 30);
  const Grid<TypeParam> q(random, 30, 240);
  Grid<TypeParam> first(30, 240), other(30, 240);
  run(desc, 1, PagedCache<TypeParam>(random, tokens, 1), places, 0, q, first);
  for (const int64_t page_size : {3, 16, 64, 200}) {
    const PagedCache<TypeParam> cache(random, tokens, page_size);
    run(desc, page_size, cache, places, 0, q, other);
    for (int64_t r = 0; r < 30; ++r) EXPECT_TRUE(other.same_row(r, first, r)) << page_size;
  }
}

// A prompt in chunks: each chunk sees a cache that holds nothing behind its own last position.
TYPED_TEST(AttentionTest, ChunksChangeNoBit) {
  Random random(3);
  const AttentionDesc desc = desc_of(4, 2, 24);
  const Tokens<TypeParam> tokens(random, {53}, 2 * 2 * 24);
  Places places;
  for (int32_t p = 0; p < 53; ++p) {
    places.sequences.push_back(0);
    places.positions.push_back(p);
  }
  const Grid<TypeParam> q(random, 53, 96);
  Grid<TypeParam> whole(53, 96);
  run(desc, 4, PagedCache<TypeParam>(random, tokens, 4), places, 0, q, whole);
  for (const int64_t chunk : {1, 5, 16, 52}) {
    for (int64_t first = 0; first < 53; first += chunk) {
      const int64_t count = std::min(chunk, 53 - first);
      const PagedCache<TypeParam> cache(random, tokens, 4, first + count);
      Grid<TypeParam> part(count, 96);
      run(desc, 4, cache, places, first, q, part);
      for (int64_t r = 0; r < count; ++r) ASSERT_TRUE(part.same_row(r, whole, first + r));
    }
  }
}

TYPED_TEST(AttentionTest, IsRowInvariant) {
  Random random(4);
  const AttentionDesc desc = desc_of(3, 1, 20);
  const Tokens<TypeParam> tokens(random, {33, 9}, 40);
  const PagedCache<TypeParam> cache(random, tokens, 8);
  const Places places = random_places(random, tokens.lengths, 67);
  const Grid<TypeParam> q(random, 67, 60);
  expect_row_invariant<TypeParam>(60, [&](int64_t first, int64_t count, Grid<TypeParam>& out) {
    ASSERT_EQ(out.rows(), count);
    run(desc, 8, cache, places, first, q, out);
  });
}

TYPED_TEST(AttentionTest, OnePositionGivesItsValue) {
  Random random(5);
  const AttentionDesc desc = desc_of(2, 1, 16);
  const Tokens<TypeParam> tokens(random, {1}, 32);
  const PagedCache<TypeParam> cache(random, tokens, 16);
  const Grid<TypeParam> q(random, 1, 32);
  Grid<TypeParam> out(1, 32);
  run(desc, 16, cache, {{0}, {0}}, 0, q, out);
  for (int64_t c = 0; c < 32; ++c) EXPECT_EQ(out.value(0, c), tokens.value(0, 0, 16 + c % 16));
}

TYPED_TEST(AttentionTest, LargeScoresDoNotOverflow) {
  Random random(6);
  AttentionDesc desc = desc_of(1, 1, 8);
  desc.scale = 1e30f;
  const Tokens<TypeParam> tokens(random, {12}, 16);
  const PagedCache<TypeParam> cache(random, tokens, 4);
  const Grid<TypeParam> q(random, 1, 8);
  Grid<TypeParam> out(1, 8);
  run(desc, 4, cache, {{0}, {11}}, 0, q, out);
  for (int64_t c = 0; c < 8; ++c) EXPECT_LE(std::abs(out.value(0, c)), 1.0);
}

TYPED_TEST(AttentionTest, KvWriteSkipsNegativeSlots) {
  Random random(7);
  const Grid<TypeParam> source(random, 4, 13, 1);
  Grid<TypeParam> cache(6, 13, 2);
  const Grid<TypeParam> untouched = cache;
  const int32_t slots[] = {5, -1, 0, 2};
  kv_write<TypeParam>(4, 13, source.input(), slots, cache.matrix());
  EXPECT_TRUE(cache.same_row(5, source, 0));
  EXPECT_TRUE(cache.same_row(0, source, 2));
  EXPECT_TRUE(cache.same_row(2, source, 3));
  for (const int64_t row : {1, 3, 4}) EXPECT_TRUE(cache.same_row(row, untouched, row));
  cache.expect_padding_kept();
}

TEST(AttentionRoundingTest, Bfloat16IsRoundedOnceAtTheEnd) {
  Random random(8);
  const AttentionDesc desc = desc_of(2, 1, 20);
  const Tokens<bf16> tokens(random, {30}, 40);
  const PagedCache<bf16> cache(random, tokens, 7);
  const Grid<bf16> q(random, 1, 40);
  Grid<bf16> out(1, 40);
  run(desc, 7, cache, {{0}, {29}}, 0, q, out);
  int off = 0;
  for (int64_t c = 0; c < 40; ++c) {
    const double want = exact(desc, tokens, q, 0, 0, 29, c);
    // Only values within float32's error of a midpoint may round the other way.
    off += out.at(0, c).bits == from_float<bf16>(static_cast<float>(want)).bits ? 0 : 1;
  }
  EXPECT_LE(off, 1);
}

TEST(AttentionDeathTest, HeadsThatDoNotShareEvenlyAbort) {
  EXPECT_DEATH((attention<float>(desc_of(3, 2, 8), {}, {}, {}, {}, nullptr)), "num_kv_heads 2");
}

}  // namespace
}  // namespace braid::kernels::cpu
