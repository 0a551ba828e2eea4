#include "kernels/attention/cuda/decode_attention.h"

#include "kernels/attention/cpu/decode_attention.h"
#include "kernels/attention/cuda/decode_plan.h"
#include "kernels/attention/cuda/step_test_support.h"
#include "kernels/norm/cuda/norm.h"
#include "kernels/rotary/cpu/rotary.h"
#include "kernels/rotary/cuda/rotary.h"

namespace braid::kernels::cuda {
namespace {

struct Heads {
  int32_t num = 0;
  int32_t num_kv = 0;
  int32_t dim = 128;
  int32_t page_size = 16;
  bool normed = true;
  int32_t rotary_dims = -1;  // −1: all
  bool interleaved = false;
};

DecodeAttentionDesc desc_of(const Heads& heads) {
  DecodeAttentionDesc desc;
  desc.attention.num_heads = heads.num;
  desc.attention.num_kv_heads = heads.num_kv;
  desc.attention.head_dim = heads.dim;
  desc.attention.page_size = heads.page_size;
  desc.attention.scale = 1.5f / std::sqrt(static_cast<float>(heads.dim));  // sharper than usual
  desc.rotary.head_dim = heads.dim;
  desc.rotary.dims = heads.rotary_dims < 0 ? heads.dim : heads.rotary_dims;
  desc.rotary.interleaved = heads.interleaved ? 1 : 0;
  return desc;
}

struct Results {
  Grid<bf16> out;
  Grid<bf16> cache;
  std::vector<int32_t> arrivals;  // as the plan counts them
};

// A step's inputs. The cache has random rows before each row's own position.
struct Step {
  DecodeAttentionDesc desc;
  bool normed;
  StepRows rows;
  StepCache cache;
  std::vector<int32_t> slots;
  Grid<bf16> qkv, q_norm, k_norm;
  Grid<float> rotary_table;

  Step(Random& random, const Heads& heads, const std::vector<Stretch>& stretches,
       int64_t table_rows)
      : desc(desc_of(heads)),
        normed(heads.normed),
        rows(stretches, table_rows),
        cache(random, rows, heads.page_size, 2 * kv_cols(), 64),
        qkv(random, rows.size(), q_cols() + 2 * kv_cols(), 8),
        q_norm(random, 1, heads.dim),
        k_norm(random, 1, heads.dim),
        rotary_table(rows.size(), std::max(desc.rotary.dims, 4), 4) {
    std::vector<float> frequencies;
    for (int32_t i = 0; i < desc.rotary.dims / 2; ++i) {
      frequencies.push_back(
          std::pow(1e4f, -2.0f * static_cast<float>(i) / static_cast<float>(desc.rotary.dims)));
    }
    cpu::rotary_table({1.0f}, rows.size(), desc.rotary.dims, rows.positions.data(),
                      frequencies.data(), rotary_table.matrix());
    for (int64_t r = 0; r < rows.size(); ++r) {
      const auto row = static_cast<size_t>(r);
      const int32_t sequence = rows.sequences[row], page = rows.positions[row] / heads.page_size;
      slots.push_back(sequence < 0 ? -1
                                   : cache.table.at(sequence, page) * heads.page_size +
                                         rows.positions[row] % heads.page_size);
    }
  }

  int64_t q_cols() const { return int64_t{desc.attention.num_heads} * desc.attention.head_dim; }
  int64_t kv_cols() const { return int64_t{desc.attention.num_kv_heads} * desc.attention.head_dim; }
  int64_t max_positions() const { return cache.table.cols() * desc.attention.page_size; }

  Results on_cpu() const {
    Results results{Grid<bf16>(rows.size(), q_cols()), cache.cache, {}};
    const DecodePlanLayout layout(rows.size(), desc.attention.num_kv_heads);
    std::vector<int32_t> plan(static_cast<size_t>(layout.words));
    const PagedRows paged{rows.size(), rows.sequences.data(), rows.positions.data(),
                          cache.table.input()};
    cpu::plan_decode({desc.attention.num_kv_heads}, paged, plan.data());
    std::vector<std::byte> scratch(static_cast<size_t>(
        cpu::decode_attention_scratch_bytes(desc, rows.size(), sizeof(bf16), max_positions())));
    cpu::decode_attention<bf16>(desc,
                                {.rows = paged,
                                 .kv_slots = slots.data(),
                                 .qkv = qkv.input(),
                                 .q_norm = normed ? q_norm.input().data : nullptr,
                                 .k_norm = normed ? k_norm.input().data : nullptr,
                                 .rotary_table = rotary_table.input(),
                                 .plan = plan.data(),
                                 .cache = results.cache.matrix(),
                                 .out = results.out.matrix()},
                                scratch.data());
    results.arrivals.assign(plan.begin() + layout.arrivals, plan.end());
    return results;
  }

  // The cache as the kernels of the single steps leave it.
  Grid<bf16> cache_in_steps() const {
    const DeviceGrid<bf16> x(qkv), device_cache(cache.cache), q(q_norm), k(k_norm);
    const DeviceGrid<float> device_rotary(rotary_table);
    const DeviceArray<int32_t> device_slots(slots);
    const RmsNormDesc norm{desc.eps, desc.attention.head_dim};
    if (normed) {
      rms_norm<bf16>(norm, {rows.size()}, q_cols(), x.input(), q.input().data, x.matrix(), nullptr);
      rms_norm<bf16>(norm, {rows.size()}, kv_cols(), x.input(0, q_cols()), k.input().data,
                     x.matrix(0, q_cols()), nullptr);
    }
    rotary<bf16>(desc.rotary, rows.size(), q_cols() + kv_cols(), device_rotary.input(), x.matrix(),
                 nullptr);
    kv_write<bf16>(rows.size(), 2 * kv_cols(), x.input(0, q_cols()), device_slots.data(),
                   device_cache.matrix(), nullptr);
    return device_cache.fetch();
  }
};

// A step in device memory. Runs may follow one another: each writes the same keys and values.
struct DeviceStep {
  const Step& step;
  DeviceArray<int32_t> slots;
  DeviceGrid<bf16> qkv, cache, q_norm, k_norm;
  DeviceGrid<float> rotary_table;

  explicit DeviceStep(const Step& of)
      : step(of),
        slots(of.slots),
        qkv(of.qkv),
        cache(of.cache.cache),
        q_norm(of.q_norm),
        k_norm(of.k_norm),
        rotary_table(of.rotary_table) {}

  // The results of rows [first, first + count), as if they were all of the step.
  Grid<bf16> run(int64_t first = 0, int64_t count = -1, int repeats = 1) const {
    if (count < 0) count = step.rows.size();
    const DeviceRows rows(step.rows, step.cache.table, first, count);
    const DeviceGrid<bf16> out(count, step.q_cols());
    const DecodePlanDesc plan_desc{step.desc.attention.num_kv_heads};
    const DeviceArray<int32_t> plan(DecodePlanLayout(count, plan_desc.num_kv_heads).words);
    const DeviceArray<std::byte> scratch(
        decode_attention_scratch_bytes(step.desc, count, step.rows.num_sequences));
    plan_decode(plan_desc, rows.paged, plan.data(), nullptr);
    for (int i = 0; i < repeats; ++i) {
      decode_attention(step.desc,
                       {.rows = rows.paged,
                        .kv_slots = slots.data() + first,
                        .qkv = qkv.input(first),
                        .q_norm = step.normed ? q_norm.input().data : nullptr,
                        .k_norm = step.normed ? k_norm.input().data : nullptr,
                        .rotary_table = rotary_table.input(first),
                        .plan = plan.data(),
                        .cache = cache.matrix(),
                        .out = out.matrix(),
                        .scratch = scratch.data()},
                       nullptr);
    }
    const std::vector<int32_t> words = plan.fetch();
    arrivals.assign(words.end() - count * plan_desc.num_kv_heads, words.end());
    return out.fetch();
  }
  mutable std::vector<int32_t> arrivals;  // of the last run
};

// Whether all bytes are the same, of NaN as well.
void expect_same_bytes(const Grid<bf16>& got, const Grid<bf16>& want) {
  ASSERT_EQ(got.rows(), want.rows());
  for (int64_t r = 0; r < want.rows(); ++r) ASSERT_TRUE(got.same_row(r, want, r)) << "row " << r;
}

void check(Random& random, const Heads& heads, const std::vector<Stretch>& stretches,
           int64_t table_rows) {
  const Step step(random, heads, stretches, table_rows);
  SCOPED_TRACE(testing::Message() << heads.num << "/" << heads.num_kv << " heads of " << heads.dim
                                  << ", pages of " << heads.page_size << ", " << step.rows.size()
                                  << " rows, rotary " << step.desc.rotary.dims << " norm "
                                  << heads.normed);
  const Results want = step.on_cpu();
  const DeviceStep device(step);
  Grid<bf16> got = device.run();
  expect_near(got, want.out, step.rows.size(), 4e-3);
  expect_same_bytes(device.cache.fetch(), step.cache_in_steps());
  if (can_fuse_decode(step.desc)) {
    EXPECT_EQ(device.arrivals, want.arrivals);
  }
  for (int64_t r = 0; r < step.rows.size(); ++r) {
    if (step.rows.sequences[static_cast<size_t>(r)] >= 0) continue;
    for (int64_t c = 0; c < step.q_cols(); ++c) {
      ASSERT_EQ(got.at(r, c).bits, 0) << "padding " << r;
    }
  }
}

// Rows around the ends of pages, halves and leaves; long and short ones; padding.
std::vector<Stretch> ragged() {
  return {decode(0),   decode(15),   decode(16),  decode(62),   decode(63),  padding(2),
          decode(64),  decode(126),  decode(127), decode(128),  decode(191), decode(192),
          decode(255), decode(256),  decode(700), decode(1023), padding(1),  decode(1024),
          decode(37),  decode(1500), padding(3)};
}

TEST(CudaDecodeAttentionTest, EqualsTheSingleSteps) {
  BRAID_NEEDS_GPU();
  Random random(1);
  for (const auto& [heads, kv_heads] : {std::pair<int32_t, int32_t>{32, 4}, {28, 4}, {4, 4}}) {
    check(random, {.num = heads, .num_kv = kv_heads}, ragged(), 20);
  }
  check(random, {.num = 24, .num_kv = 2, .page_size = 64, .normed = false, .rotary_dims = 64},
        ragged(), 20);
  check(random, {.num = 8, .num_kv = 2, .page_size = 1, .rotary_dims = 32}, ragged(), 25);
  check(random, {.num = 8, .num_kv = 1, .page_size = 48, .rotary_dims = 0}, ragged(), 20);
  check(random, {.num = 16, .num_kv = 1}, ragged(), 20);
}

TEST(CudaDecodeAttentionTest, HeadsOf64Columns) {
  BRAID_NEEDS_GPU();
  Random random(2);
  for (const auto& [heads, kv_heads] : {std::pair<int32_t, int32_t>{16, 2}, {12, 1}, {14, 2}}) {
    check(random, {.num = heads, .num_kv = kv_heads, .dim = 64}, ragged(), 20);
  }
  check(random, {.num = 4, .num_kv = 1, .dim = 64, .normed = false, .rotary_dims = 32}, ragged(),
        20);
}

// Sizes for which there are the kernels of the single steps alone.
TEST(CudaDecodeAttentionTest, OtherSizes) {
  BRAID_NEEDS_GPU();
  Random random(3);
  check(random, {.num = 20, .num_kv = 1}, ragged(), 25);
  check(random, {.num = 8, .num_kv = 2, .interleaved = true}, ragged(), 25);
  check(random, {.num = 8, .num_kv = 2, .rotary_dims = 24}, ragged(), 25);
}

TEST(CudaDecodeAttentionTest, PaddingAlone) {
  BRAID_NEEDS_GPU();
  Random random(4);
  check(random, {.num = 8, .num_kv = 2}, {decode(3), padding(300)}, 301);
  check(random, {.num = 8, .num_kv = 2}, {padding(2), decode(0)}, 3);
}

// Alone, in threes, in eights and among all: shares of several sizes, the same bits.
TEST(CudaDecodeAttentionTest, ARowDependsOnItselfAlone) {
  BRAID_NEEDS_GPU();
  Random random(5);
  std::vector<Stretch> stretches = {decode(0), decode(6399), decode(4095), decode(4096)};
  for (int32_t i = 0; i < 20; ++i) {
    stretches.push_back(decode(static_cast<int32_t>(random() % 6400)));
  }
  for (const Heads& heads : {Heads{.num = 8, .num_kv = 1}, Heads{.num = 12, .num_kv = 1}}) {
    const Step step(random, heads, stretches, 24);
    const DeviceStep device(step);
    Grid<bf16> all = device.run();
    expect_near(all, step.on_cpu().out, step.rows.size(), 4e-3);
    for (int repeat = 0; repeat < 3; ++repeat) expect_same_bytes(device.run(0, -1, 5), all);
    for (const int64_t count : {1, 3, 8}) {
      for (int64_t first = 0; first + count <= step.rows.size(); first += count) {
        const Grid<bf16> part = device.run(first, count);
        for (int64_t r = 0; r < count; ++r) {
          ASSERT_TRUE(part.same_row(r, all, first + r)) << "row " << first + r << " of " << count;
        }
      }
    }
  }
}

// More shares of a row than are merged at a time, and levels of the tree that lie in memory.
TEST(CudaDecodeAttentionTest, ALongRow) {
  BRAID_NEEDS_GPU();
  Random random(6);
  const Step step(random, {.num = 8, .num_kv = 1, .page_size = 64},
                  {decode(39999), decode(16383), decode(5)}, 3);
  const DeviceStep device(step);
  Grid<bf16> all = device.run();
  expect_near(all, step.on_cpu().out, 3, 4e-3);
  for (int64_t row = 0; row < 3; ++row) {
    ASSERT_TRUE(device.run(row, 1).same_row(0, all, row)) << "row " << row;
  }
}

TEST(CudaDecodeAttentionTest, OnePositionGivesItsValue) {
  BRAID_NEEDS_GPU();
  Random random(7);
  const Step step(random, {.num = 8, .num_kv = 2}, {decode(0)}, 1);
  const Grid<bf16> got = DeviceStep(step).run();
  for (int64_t c = 0; c < step.q_cols(); ++c) {
    const int64_t head = c / 128;
    ASSERT_EQ(got.value(0, c),
              step.qkv.value(0, step.q_cols() + step.kv_cols() + head / 4 * 128 + c % 128));
  }
}

TEST(CudaDecodePlanTest, EqualsTheCpus) {
  BRAID_NEEDS_GPU();
  Random random(8);
  for (const int64_t count : {1, 2, 7, 24, 128, 1500}) {
    for (const int32_t kv_heads : {1, 4, 8}) {
      std::vector<int32_t> sequences, positions;
      for (int64_t i = 0; i < count; ++i) {
        sequences.push_back(random() % 7 == 0 ? -1 : static_cast<int32_t>(i));
        positions.push_back(static_cast<int32_t>(random() % (count < 8 ? 20000 : 3000)));
      }
      const DecodePlanDesc desc{kv_heads};
      const DecodePlanLayout layout(count, kv_heads);
      std::vector<int32_t> want(static_cast<size_t>(layout.words));
      PagedRows rows;
      rows.rows = count;
      rows.sequences = sequences.data();
      rows.positions = positions.data();
      cpu::plan_decode(desc, rows, want.data());
      const DeviceArray<int32_t> device_sequences(sequences), device_positions(positions);
      rows.sequences = device_sequences.data();
      rows.positions = device_positions.data();
      const DeviceArray<int32_t> plan(layout.words);
      plan_decode(desc, rows, plan.data(), nullptr);
      const std::vector<int32_t> got = plan.fetch();
      const int64_t used = DecodePlanLayout::kHeaderWords + want[0] * DecodePlanLayout::kShareWords;
      ASSERT_EQ(got[0], want[0]) << count << " rows";
      ASSERT_EQ(got[1], want[1]) << count << " rows";
      for (int64_t i = DecodePlanLayout::kHeaderWords; i < layout.words; ++i) {
        if (i >= used && i < layout.arrivals) continue;
        ASSERT_EQ(got[static_cast<size_t>(i)], want[static_cast<size_t>(i)]) << "word " << i;
      }
    }
  }
}

}  // namespace
}  // namespace braid::kernels::cuda
