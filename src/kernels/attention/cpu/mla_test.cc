#include "kernels/attention/cpu/attention.h"
#include "kernels/attention/cpu/paged_test_support.h"

namespace braid::kernels::cpu {
namespace {

template <typename T>
class MlaTest : public testing::Test {};
using AllTypes = testing::Types<float, bf16>;
TYPED_TEST_SUITE(MlaTest, AllTypes);

constexpr MlaForm kForms[] = {MlaForm::absorbed, MlaForm::expanded};

MlaDesc desc_of(int32_t heads, int32_t rank, int32_t nope, int32_t rope, int32_t value) {
  MlaDesc desc;
  desc.num_heads = heads;
  desc.kv_lora_rank = rank;
  desc.nope_dim = nope;
  desc.rope_dim = rope;
  desc.v_head_dim = value;
  desc.page_size = 4;
  desc.scale = 1.0f / std::sqrt(static_cast<float>(nope + rope));
  return desc;
}

// A problem with its cache; rows at random places.
template <typename T>
struct Problem {
  MlaDesc desc;
  Tokens<T> tokens;
  Places places;
  Grid<T> q;
  Grid<T> kv_b;

  Problem(Random& random, const MlaDesc& all, std::vector<int64_t> lengths, int64_t rows)
      : desc(all),
        tokens(random, std::move(lengths), desc.kv_lora_rank + desc.rope_dim),
        places(random_places(random, tokens.lengths, rows)),
        q(random, rows, desc.num_heads * (desc.nope_dim + desc.rope_dim), 2),
        kv_b(random, desc.num_heads * (desc.nope_dim + desc.v_head_dim), desc.kv_lora_rank, 1) {}

  int64_t cols() const { return desc.num_heads * desc.v_head_dim; }
  void run(const PagedCache<T>& cache, int64_t first, Grid<T>& out) const {
    std::vector<std::byte> scratch(
        static_cast<size_t>(mla_scratch_bytes(desc, cache.max_positions())));
    mla_attention<T>(desc, cache.places(places, first, out.rows()), q.input(first), cache.rows(),
                     kv_b.input(), out.matrix(), scratch.data());
    out.expect_padding_kept();
  }

  // One head's result for a row [v_head_dim], by the definition: keys and values of every
  // position, in double.
  std::vector<double> exact(int64_t row, int64_t head) const {
    const int64_t sequence = places.sequences[static_cast<size_t>(row)];
    const int64_t last = places.positions[static_cast<size_t>(row)];
    const int64_t base = head * (desc.nope_dim + desc.v_head_dim);
    const int64_t q_base = head * (desc.nope_dim + desc.rope_dim);
    std::vector<double> weights;
    for (int64_t p = 0; p <= last; ++p) {
      double score = 0;
      for (int64_t i = 0; i < desc.nope_dim; ++i) {
        score += q.value(row, q_base + i) * expanded(sequence, p, base + i);
      }
      for (int64_t i = 0; i < desc.rope_dim; ++i) {
        score += q.value(row, q_base + desc.nope_dim + i) *
                 tokens.value(sequence, p, desc.kv_lora_rank + i);
      }
      weights.push_back(score * static_cast<double>(desc.scale));
    }
    weights = exact_softmax(weights);
    std::vector<double> out(static_cast<size_t>(desc.v_head_dim), 0.0);
    for (int64_t p = 0; p <= last; ++p) {
      for (size_t i = 0; i < out.size(); ++i) {
        out[i] += weights[static_cast<size_t>(p)] *
                  expanded(sequence, p, base + desc.nope_dim + static_cast<int64_t>(i));
      }
    }
    return out;
  }

 private:
  double expanded(int64_t sequence, int64_t position, int64_t kv_b_row) const {
    double sum = 0;
    for (int64_t c = 0; c < desc.kv_lora_rank; ++c) {
      sum += kv_b.value(kv_b_row, c) * tokens.value(sequence, position, c);
    }
    return sum;
  }
};

TYPED_TEST(MlaTest, BothFormsEqualTheDefinition) {
  Random random(1);
  for (const MlaDesc& desc : {desc_of(1, 16, 8, 4, 8), desc_of(3, 33, 17, 6, 11),
                              desc_of(14, 40, 12, 8, 20), desc_of(2, 64, 32, 16, 48)}) {
    Problem<TypeParam> problem(random, desc, {17, 1, 9}, 14);
    for (const MlaForm form : kForms) {
      problem.desc.form = form;
      Grid<TypeParam> out(14, problem.cols(), 3);
      problem.run(PagedCache<TypeParam>(random, problem.tokens, desc.page_size), 0, out);
      for (int64_t row = 0; row < 14; ++row) {
        const bool padding = problem.places.sequences[static_cast<size_t>(row)] < 0;
        for (int64_t head = 0; head < desc.num_heads; ++head) {
          const std::vector<double> want =
              padding ? std::vector<double>(static_cast<size_t>(desc.v_head_dim), 0.0)
                      : problem.exact(row, head);
          for (int64_t i = 0; i < desc.v_head_dim; ++i) {
            const double value = want[static_cast<size_t>(i)];
            ASSERT_NEAR(out.value(row, head * desc.v_head_dim + i), value,
                        std::abs(value) * kRounding<TypeParam> + 2e-5)
                << "row " << row << " head " << head;
          }
        }
      }
    }
  }
}

// DeepSeek's proportions: 512 + 64 in the cache, 128 + 64 a query head.
TEST(MlaFormsTest, AgreeToOneInAHundredThousand) {
  Random random(2);
  Problem<float> problem(random, desc_of(4, 512, 128, 64, 128), {40, 23}, 16);
  for (int64_t r = 0; r < problem.kv_b.rows(); ++r) {
    for (int64_t c = 0; c < 512; ++c) problem.kv_b.at(r, c) *= 0.05f;  // as trained weights have it
  }
  const PagedCache<float> cache(random, problem.tokens, 4);
  Grid<float> absorbed(16, problem.cols()), expanded(16, problem.cols());
  problem.run(cache, 0, absorbed);
  problem.desc.form = MlaForm::expanded;
  problem.run(cache, 0, expanded);
  double difference = 0, size = 0;
  for (int64_t r = 0; r < 16; ++r) {
    for (int64_t c = 0; c < problem.cols(); ++c) {
      difference = std::max(difference, std::abs(absorbed.value(r, c) - expanded.value(r, c)));
      size = std::max(size, std::abs(expanded.value(r, c)));
    }
  }
  EXPECT_GT(size, 0.1);
  EXPECT_GT(difference, 0.0) << "the two forms are one";
  EXPECT_LE(difference, 1e-5 * size);
}

TYPED_TEST(MlaTest, PageSizeChangesNoBit) {
  Random random(3);
  for (const MlaForm form : kForms) {
    MlaDesc desc = desc_of(3, 24, 10, 6, 9);
    desc.form = form;
    Problem<TypeParam> problem(random, desc, {70, 30}, 20);
    Grid<TypeParam> first(20, problem.cols()), other(20, problem.cols());
    problem.desc.page_size = 1;
    problem.run(PagedCache<TypeParam>(random, problem.tokens, 1), 0, first);
    for (const int32_t page_size : {3, 16, 64}) {
      problem.desc.page_size = page_size;
      problem.run(PagedCache<TypeParam>(random, problem.tokens, page_size), 0, other);
      for (int64_t r = 0; r < 20; ++r) EXPECT_TRUE(other.same_row(r, first, r)) << page_size;
    }
  }
}

TYPED_TEST(MlaTest, ChunksChangeNoBit) {
  Random random(4);
  for (const MlaForm form : kForms) {
    MlaDesc desc = desc_of(2, 20, 9, 4, 7);
    desc.form = form;
    Problem<TypeParam> problem(random, desc, {41}, 41);
    for (int32_t p = 0; p < 41; ++p) {
      problem.places.sequences[static_cast<size_t>(p)] = 0;
      problem.places.positions[static_cast<size_t>(p)] = p;
    }
    Grid<TypeParam> whole(41, problem.cols());
    problem.run(PagedCache<TypeParam>(random, problem.tokens, 4), 0, whole);
    for (const int64_t chunk : {1, 6, 40}) {
      for (int64_t first = 0; first < 41; first += chunk) {
        Grid<TypeParam> part(std::min(chunk, 41 - first), problem.cols());
        problem.run(PagedCache<TypeParam>(random, problem.tokens, 4, first + part.rows()), first,
                    part);
        for (int64_t r = 0; r < part.rows(); ++r) {
          ASSERT_TRUE(part.same_row(r, whole, first + r)) << first + r;
        }
      }
    }
  }
}

TYPED_TEST(MlaTest, IsRowInvariant) {
  Random random(5);
  for (const MlaForm form : kForms) {
    MlaDesc desc = desc_of(3, 19, 7, 4, 5);
    desc.form = form;
    const Problem<TypeParam> problem(random, desc, {21, 8}, 67);
    const PagedCache<TypeParam> cache(random, problem.tokens, 4);
    expect_row_invariant<TypeParam>(problem.cols(),
                                    [&](int64_t first, int64_t count, Grid<TypeParam>& out) {
                                      ASSERT_EQ(out.rows(), count);
                                      problem.run(cache, first, out);
                                    });
  }
}

}  // namespace
}  // namespace braid::kernels::cpu
