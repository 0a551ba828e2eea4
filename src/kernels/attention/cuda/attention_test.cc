#include "kernels/attention/cuda/attention.h"

#include "kernels/attention/cuda/attention_plan.h"
#include "kernels/attention/cuda/step_test_support.h"

namespace braid::kernels::cuda {
namespace {

AttentionDesc desc_of(int32_t heads, int32_t kv_heads, int32_t head_dim, int32_t page_size) {
  AttentionDesc desc;
  desc.num_heads = heads;
  desc.num_kv_heads = kv_heads;
  desc.head_dim = head_dim;
  desc.page_size = page_size;
  desc.scale = 2.0f / std::sqrt(static_cast<float>(head_dim));  // sharper than usual
  return desc;
}

// q stands among other columns, as it does in a product of q, k and v.
struct Step {
  AttentionDesc desc;
  StepRows rows;
  StepCache cache;
  Grid<bf16> q;

  int64_t cols() const { return int64_t{desc.num_heads} * desc.head_dim; }

  Step(Random& random, const AttentionDesc& of, const StepRows& step_rows)
      : desc(of),
        rows(step_rows),
        cache(random, rows, desc.page_size, int64_t{2} * desc.num_kv_heads * desc.head_dim, 64),
        q(random, rows.size(), 128 + int64_t{of.num_heads} * of.head_dim, 8) {}

  Grid<bf16> on_cpu() const {
    Grid<bf16> out(rows.size(), cols());
    const PagedRows paged{rows.size(), rows.sequences.data(), rows.positions.data(),
                          cache.table.input()};
    std::vector<std::byte> scratch(static_cast<size_t>(
        cpu::attention_scratch_bytes(desc, cache.table.cols() * desc.page_size)));
    cpu::attention<bf16>(desc, paged, cuda::on_cpu(q, 0, 64), cache.cache.input(), out.matrix(),
                         scratch.data());
    return out;
  }

  Grid<bf16> on_gpu(int64_t first = 0, int64_t count = -1) const {
    if (count < 0) count = rows.size();
    const DeviceRows device(rows, cache.table, first, count);
    const DeviceGrid<bf16> device_q(q), device_cache(cache.cache), out(count, cols());
    const AttentionPlanDesc plan_desc = plan_desc_of(desc);
    const DeviceArray<int32_t> words(AttentionPlan(plan_desc, count, rows.num_sequences).words);
    const AttentionPlan plan(plan_desc, count, rows.num_sequences, words.data());
    plan_attention(plan, device.paged, nullptr);
    attention(desc, device.paged, device_q.input(first, 64), device_cache.input(), out.matrix(),
              plan, nullptr);
    return out.fetch();
  }
};

void check(Random& random, const AttentionDesc& desc, const StepRows& rows) {
  SCOPED_TRACE(testing::Message() << desc.num_heads << "/" << desc.num_kv_heads << " heads of "
                                  << desc.head_dim << ", pages of " << desc.page_size << ", "
                                  << rows.size() << " rows");
  const Step step(random, desc, rows);
  const Grid<bf16> want = step.on_cpu();
  Grid<bf16> got = step.on_gpu();
  expect_near(got, want, rows.size(), 1e-2);
  for (int64_t r = 0; r < rows.size(); ++r) {
    if (rows.sequences[static_cast<size_t>(r)] >= 0) continue;
    for (int64_t c = 0; c < step.cols(); ++c) ASSERT_EQ(got.at(r, c).bits, 0) << "padding " << r;
  }
}

// Decode rows, then prefill rows, with padding behind each, and chunks that begin further back.
StepRows mixed() {
  return {{decode(0), decode(699), decode(17), decode(255), padding(3), prefill(0, 70),
           prefill(31, 5), prefill(600, 100), prefill(64, 2), padding(20)},
          12};
}

StepRows only_decode() {
  return {{decode(0), decode(1), decode(63), padding(1), decode(64), decode(699), decode(300)}, 7};
}

TEST(CudaAttentionTest, EqualsTheCpu) {
  BRAID_NEEDS_GPU();
  Random random(1);
  for (const int32_t page_size : {1, 16, 64}) {
    for (const int32_t head_dim : {64, 128}) {
      check(random, desc_of(2, 2, head_dim, page_size), mixed());
      check(random, desc_of(8, 2, head_dim, page_size), mixed());
      check(random, desc_of(8, 2, head_dim, page_size), only_decode());
    }
  }
}

TEST(CudaAttentionTest, GroupsOfManySizes) {
  BRAID_NEEDS_GPU();
  Random random(2);
  for (const int32_t group : {1, 3, 4, 8, 12, 16, 20}) {
    check(random, desc_of(group, 1, 128, 16), mixed());
    check(random, desc_of(2 * group, 2, 128, 16), only_decode());
  }
}

TEST(CudaAttentionTest, TheSizesOfPublishedModels) {
  BRAID_NEEDS_GPU();
  Random random(3);
  for (const auto& [heads, kv_heads] : {std::pair<int32_t, int32_t>{96, 8}, {32, 4}, {28, 4}}) {
    check(random, desc_of(heads, kv_heads, 128, 64), mixed());
    check(random, desc_of(heads, kv_heads, 128, 64), only_decode());
  }
}

TEST(CudaAttentionTest, OnePositionGivesItsValue) {
  BRAID_NEEDS_GPU();
  Random random(4);
  const AttentionDesc desc = desc_of(4, 1, 64, 16);
  const Step step(random, desc, {{decode(0)}, 1});
  Grid<bf16> got = step.on_gpu();
  const int64_t row = int64_t{step.cache.table.input().data[0]} * 16;
  for (int64_t c = 0; c < 256; ++c) {
    ASSERT_EQ(got.value(0, c), step.cache.cache.value(row, 64 + c % 64));
  }
}

TEST(CudaAttentionTest, ScoresFarApartDoNotOverflow) {
  BRAID_NEEDS_GPU();
  Random random(5);
  AttentionDesc desc = desc_of(4, 2, 128, 16);
  desc.scale = 50;
  check(random, desc, {{decode(200), prefill(10, 80), padding(2)}, 2});
}

// The same sequences among others, in another order, behind padding: no bit changes. A row that
// is alone in its sequence stays alone.
TEST(CudaAttentionTest, ARowDependsOnItsOwnSequenceAlone) {
  BRAID_NEEDS_GPU();
  Random random(6);
  for (const int32_t page_size : {1, 64}) {
    const Step step(random, desc_of(24, 2, 128, page_size), mixed());
    const Grid<bf16> all = step.on_gpu();
    // [first, count): stretches of mixed(), at least one with several rows.
    for (const auto& [first, count] :
         {std::pair<int64_t, int64_t>{3, 74}, {7, 75}, {82, 102}, {5, 199}, {0, 203}}) {
      const Grid<bf16> part = step.on_gpu(first, count);
      for (int64_t r = 0; r < count; ++r) {
        ASSERT_TRUE(part.same_row(r, all, first + r)) << "row " << first + r << " of " << count;
      }
    }
  }
}

// The rows of a prompt split between two ops: each part's rows are those of the whole, as both
// parts still have several.
TEST(CudaAttentionTest, SplittingASequencesRowsChangesNoBit) {
  BRAID_NEEDS_GPU();
  Random random(7);
  const Step step(random, desc_of(8, 1, 128, 16), {{prefill(100, 300)}, 1});
  const Grid<bf16> all = step.on_gpu();
  for (const int64_t first : {2, 100, 163, 298}) {
    const Grid<bf16> head = step.on_gpu(0, first), tail = step.on_gpu(first, 300 - first);
    for (int64_t r = 0; r < 300; ++r) {
      ASSERT_TRUE(r < first ? head.same_row(r, all, r) : tail.same_row(r - first, all, r)) << r;
    }
  }
}

TEST(CudaAttentionTest, DecodeRowsAreRowInvariant) {
  BRAID_NEEDS_GPU();
  Random random(8);
  const Step step(random, desc_of(16, 2, 64, 16), only_decode());
  const Grid<bf16> all = step.on_gpu();
  for (int64_t r = 0; r < step.rows.size(); ++r) {
    ASSERT_TRUE(step.on_gpu(r, 1).same_row(0, all, r)) << "row " << r;
  }
}

template <typename T>
class CudaKvWriteTest : public testing::Test {};
using AllTypes = testing::Types<float, bf16>;
TYPED_TEST_SUITE(CudaKvWriteTest, AllTypes);

TYPED_TEST(CudaKvWriteTest, WritesWhatTheCpuWrites) {
  BRAID_NEEDS_GPU();
  Random random(9);
  for (const auto& [cols, first_col, padding] :
       {std::array<int64_t, 3>{2048, 4096, 0}, {576, 0, 0}, {13, 5, 2}, {256, 3, 0}, {256, 0, 8}}) {
    const Grid<TypeParam> source(random, 37, first_col + cols, padding);
    Grid<TypeParam> want(random, 90, cols, padding);
    const DeviceGrid<TypeParam> device_source(source), cache(want);
    std::vector<int32_t> slots(90);
    std::iota(slots.begin(), slots.end(), 0);
    std::shuffle(slots.begin(), slots.end(), random);
    for (size_t r = 0; r < 37; r += 5) slots[r] = -1;
    cpu::kv_write<TypeParam>(37, cols, on_cpu(source, 0, first_col), slots.data(), want.matrix());
    const DeviceArray<int32_t> device_slots(slots);
    kv_write<TypeParam>(37, cols, device_source.input(0, first_col), device_slots.data(),
                        cache.matrix(), nullptr);
    Grid<TypeParam> got = cache.fetch();
    expect_same(got, want, 90);
  }
}

}  // namespace
}  // namespace braid::kernels::cuda
