#include "kernels/attention/cpu/decode_attention.h"

#include <numeric>

#include "kernels/attention/cpu/attention.h"
#include "kernels/cpu/test_support.h"
#include "kernels/norm/cpu/norm.h"
#include "kernels/rotary/cpu/rotary.h"

namespace braid::kernels::cpu {
namespace {

constexpr int64_t kRows = 5, kPage = 4, kBlocks = 6;
constexpr int32_t kSequences[kRows] = {2, 0, -1, 3, 1};
constexpr int32_t kPositions[kRows] = {0, 7, 99, 22, 8};

// Four heads on two KV heads; block b of sequence s is page 6 s + (5 b mod 6).
template <typename T>
struct Step {
  DecodeAttentionDesc desc;
  Grid<int32_t> table{4, kBlocks, 1};
  std::vector<int32_t> slots;
  Grid<T> qkv, q_norm, k_norm, cache;
  Grid<float> rotary_table;

  Step(Random& random, int32_t dim, int32_t rotary_dims)
      : qkv(random, kRows, 8 * dim, 3),
        q_norm(random, 1, dim),
        k_norm(random, 1, dim),
        cache(random, 4 * kBlocks * kPage, 4 * dim, 2),
        rotary_table(random, kRows, rotary_dims, 1) {
    desc.attention = {.num_heads = 4,
                      .num_kv_heads = 2,
                      .head_dim = dim,
                      .page_size = static_cast<int32_t>(kPage),
                      .scale = 0.7f};
    desc.rotary = {.head_dim = dim, .dims = rotary_dims};
    desc.eps = 1e-4f;
    for (int32_t s = 0; s < 4; ++s) {
      for (int32_t b = 0; b < kBlocks; ++b) table.at(s, b) = 6 * s + 5 * b % 6;
    }
    for (int64_t r = 0; r < kRows; ++r) {
      const int32_t page = kSequences[r] < 0 ? 0 : table.at(kSequences[r], kPositions[r] / kPage);
      slots.push_back(
          kSequences[r] < 0 ? -1 : static_cast<int32_t>(page * kPage + kPositions[r] % kPage));
    }
  }

  PagedRows rows() const { return {kRows, kSequences, kPositions, table.input(), 4, kBlocks}; }
  int64_t q_cols() const { return 4 * desc.attention.head_dim; }

  // The single steps.
  Grid<T> apart(bool normed, Grid<T>& cached) const {
    Grid<T> x = qkv, out(kRows, q_cols(), 1);
    const int64_t kv_cols = q_cols() / 2;
    const Matrix<T> all = x.matrix();
    const Matrix<T> kv{all.data + q_cols(), all.stride};
    const RmsNormDesc norm{desc.eps, desc.attention.head_dim};
    if (normed) {
      rms_norm<T>(norm, kRows, q_cols(), {all.data, all.stride}, q_norm.input().data, all);
      rms_norm<T>(norm, kRows, kv_cols, {kv.data, kv.stride}, k_norm.input().data, kv);
    }
    rotary<T>(desc.rotary, kRows, q_cols() + kv_cols, rotary_table.input(), all);
    kv_write<T>(kRows, 2 * kv_cols, {kv.data, kv.stride}, slots.data(), cached.matrix());
    std::vector<std::byte> scratch(
        static_cast<size_t>(attention_scratch_bytes(desc.attention, kBlocks * kPage)));
    attention<T>(desc.attention, rows(), x.input(), cached.input(), out.matrix(), scratch.data());
    return out;
  }

  Grid<T> together(bool normed, Grid<T>& cached, std::vector<int32_t>& plan) const {
    Grid<T> out(kRows, q_cols(), 1);
    std::vector<std::byte> scratch(static_cast<size_t>(
        decode_attention_scratch_bytes(desc, kRows, sizeof(T), kBlocks * kPage)));
    decode_attention<T>(desc,
                        {.rows = rows(),
                         .kv_slots = slots.data(),
                         .qkv = qkv.input(),
                         .q_norm = normed ? q_norm.input().data : nullptr,
                         .k_norm = normed ? k_norm.input().data : nullptr,
                         .rotary_table = rotary_table.input(),
                         .plan = plan.data(),
                         .cache = cached.matrix(),
                         .out = out.matrix()},
                        scratch.data());
    out.expect_padding_kept();
    return out;
  }
};

template <typename T>
class DecodeAttentionTest : public testing::Test {};
using AllTypes = testing::Types<float, bf16>;
TYPED_TEST_SUITE(DecodeAttentionTest, AllTypes);

TYPED_TEST(DecodeAttentionTest, IsTheSingleStepsBitForBit) {
  Random random(1);
  for (const bool normed : {false, true}) {
    for (const int32_t rotary_dims : {8, 4}) {
      const Step<TypeParam> step(random, 8, rotary_dims);
      const DecodePlanLayout layout(kRows, 2);
      std::vector<int32_t> plan(static_cast<size_t>(layout.words));
      plan_decode({2}, step.rows(), plan.data());
      Grid<TypeParam> cache = step.cache, want_cache = step.cache;
      const Grid<TypeParam> want = step.apart(normed, want_cache);
      const Grid<TypeParam> got = step.together(normed, cache, plan);
      for (int64_t r = 0; r < kRows; ++r) ASSERT_TRUE(got.same_row(r, want, r)) << "row " << r;
      for (int64_t r = 0; r < cache.rows(); ++r) {
        ASSERT_TRUE(cache.same_row(r, want_cache, r)) << "cache row " << r;
      }
      // Every row is one part, twice: for each KV head.
      const std::vector<int32_t> arrivals(plan.begin() + layout.arrivals, plan.end());
      EXPECT_EQ(arrivals, (std::vector<int32_t>{1, 1, 1, 1, 0, 0, 1, 1, 1, 1}));
    }
  }
}

// Shares lie one behind another, cover every row's leaves, and begin at multiples of their size.
void check_plan(const std::vector<int32_t>& lengths, int32_t num_kv_heads, int32_t* share_leaves) {
  std::vector<int32_t> sequences, positions;
  for (const int32_t length : lengths) {
    sequences.push_back(length == 0 ? -1 : static_cast<int32_t>(sequences.size()));
    positions.push_back(length - 1);
  }
  PagedRows rows;
  rows.rows = static_cast<int64_t>(lengths.size());
  rows.sequences = sequences.data();
  rows.positions = positions.data();
  const DecodePlanLayout layout(rows.rows, num_kv_heads);
  std::vector<int32_t> plan(static_cast<size_t>(layout.words), -1);
  plan_decode({num_kv_heads}, rows, plan.data());
  *share_leaves = plan[1];
  ASSERT_LE(plan[0], layout.capacity);
  const int32_t* share = plan.data() + DecodePlanLayout::kHeaderWords;
  int32_t count = 0;
  for (size_t row = 0; row < lengths.size(); ++row) {
    for (int32_t leaf = 0; leaf < leaves_of(lengths[row]); leaf += plan[1], ++count, share += 4) {
      ASSERT_EQ(share[0], static_cast<int32_t>(row));
      ASSERT_EQ(share[1], leaf);
      ASSERT_EQ(share[2], lengths[row]);
      ASSERT_EQ(share[3], sequences[row]);
    }
  }
  ASSERT_EQ(plan[0], count);
  for (int64_t i = layout.arrivals; i < layout.words; ++i)
    ASSERT_EQ(plan[static_cast<size_t>(i)], 0);
}

TEST(DecodePlanTest, SharesCoverTheRows) {
  int32_t few = 0, many = 0, one = 0, longest = 0;
  check_plan({1024}, 4, &few);
  EXPECT_EQ(few, 1);  // as many blocks as there can be
  check_plan(std::vector<int32_t>(128, 4096), 4, &many);
  EXPECT_GE(many, 8);  // as few parts as there can be
  check_plan({1}, 1, &one);
  check_plan({1, 0, 128, 129, 0, 700, 5000}, 8, &few);
  check_plan({1 << 20}, 1, &longest);
  EXPECT_GT(longest, 1);
  check_plan(std::vector<int32_t>(1000, 3), 1, &many);
  check_plan({0, 0, 0}, 4, &one);
}

}  // namespace
}  // namespace braid::kernels::cpu
