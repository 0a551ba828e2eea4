#include "kernels/attention/cuda/mla.h"

#include "kernels/attention/cuda/step_test_support.h"

namespace braid::kernels::cuda {
namespace {

MlaDesc desc_of(int32_t heads, int32_t rank, int32_t nope, int32_t rope, int32_t value,
                int32_t page_size) {
  return {.num_heads = heads,
          .kv_lora_rank = rank,
          .nope_dim = nope,
          .rope_dim = rope,
          .v_head_dim = value,
          .page_size = page_size,
          .scale = 1.5f / std::sqrt(static_cast<float>(nope + rope))};
}

template <typename To>
Grid<To> converted(const Grid<bf16>& from) {
  Grid<To> to(from.rows(), from.cols());
  for (int64_t r = 0; r < from.rows(); ++r) {
    for (int64_t c = 0; c < from.cols(); ++c) {
      to.at(r, c) = from_float<To>(static_cast<float>(from.value(r, c)));
    }
  }
  return to;
}

// A step's operands in bfloat16; the CPU computes on them in float32, rounding nothing.
struct Step {
  MlaDesc desc;
  StepRows rows;
  StepCache cache;
  Grid<bf16> q;
  Grid<bf16> kv_b;

  Step(Random& random, const MlaDesc& of, const StepRows& step_rows)
      : desc(of),
        rows(step_rows),
        cache(random, rows, desc.page_size, desc.kv_lora_rank + desc.rope_dim, 8),
        q(random, rows.size(), int64_t{of.num_heads} * (of.nope_dim + of.rope_dim), 8),
        kv_b(random, int64_t{of.num_heads} * (of.nope_dim + of.v_head_dim), of.kv_lora_rank, 8) {}

  int64_t cols() const { return int64_t{desc.num_heads} * desc.v_head_dim; }

  Grid<float> on_cpu() const {
    const Grid<float> wide_q = converted<float>(q), wide_cache = converted<float>(cache.cache),
                      wide_kv_b = converted<float>(kv_b);
    Grid<float> out(rows.size(), cols());
    const PagedRows paged{rows.size(), rows.sequences.data(), rows.positions.data(),
                          cache.table.input()};
    std::vector<std::byte> scratch(
        static_cast<size_t>(cpu::mla_scratch_bytes(desc, cache.table.cols() * desc.page_size)));
    cpu::mla_attention<float>(desc, paged, wide_q.input(), wide_cache.input(), wide_kv_b.input(),
                              out.matrix(), scratch.data());
    return out;
  }

  template <typename T>
  Grid<T> on_gpu(int64_t first = 0, int64_t count = -1) const {
    if (count < 0) count = rows.size();
    const DeviceRows device(rows, cache.table, first, count);
    const DeviceGrid<T> device_q(converted<T>(q)), device_cache(converted<T>(cache.cache)),
        device_kv_b(converted<T>(kv_b)), out(count, cols(), 4);
    mla_attention<T>(desc, device.paged, device_q.input(first), device_cache.input(),
                     device_kv_b.input(), out.matrix(), nullptr);
    return out.fetch();
  }
};

StepRows mixed() {
  return {
      {decode(0), decode(699), decode(15), padding(2), prefill(0, 40), prefill(300, 7), padding(5)},
      6};
}

void check(Random& random, const MlaDesc& desc) {
  SCOPED_TRACE(testing::Message() << desc.num_heads << " heads, rank " << desc.kv_lora_rank);
  const Step step(random, desc, mixed());
  const Grid<float> want = step.on_cpu();
  Grid<float> exact = step.on_gpu<float>();
  expect_near(exact, want, want.rows(), 1e-5);
  Grid<float> rounded = converted<float>(step.on_gpu<bf16>());
  expect_near(rounded, want, want.rows(), 1e-2);
  for (int64_t r = 0; r < want.rows(); ++r) {
    if (step.rows.sequences[static_cast<size_t>(r)] >= 0) continue;
    for (int64_t c = 0; c < step.cols(); ++c) ASSERT_EQ(exact.at(r, c), 0) << "padding " << r;
  }
}

TEST(CudaMlaTest, EqualsTheCpu) {
  BRAID_NEEDS_GPU();
  Random random(1);
  for (const int32_t page_size : {1, 16, 64})
    check(random, desc_of(2, 512, 128, 64, 128, page_size));
  check(random, desc_of(16, 512, 128, 64, 128, 16));
  check(random, desc_of(3, 40, 24, 8, 20, 16));
  check(random, desc_of(1, 656, 32, 64, 32, 16));
}

TEST(CudaMlaTest, ARowDependsOnItsOwnSequenceAlone) {
  BRAID_NEEDS_GPU();
  Random random(2);
  const Step step(random, desc_of(4, 512, 128, 64, 128, 16), mixed());
  const Grid<bf16> all = step.on_gpu<bf16>();
  for (const auto& [first, count] :
       {std::pair<int64_t, int64_t>{0, 1}, {1, 1}, {2, 20}, {30, 27}}) {
    const Grid<bf16> some = step.on_gpu<bf16>(first, count);
    for (int64_t r = 0; r < count; ++r) {
      ASSERT_TRUE(some.same_row(r, all, first + r)) << "row " << first + r;
    }
  }
}

TEST(CudaMlaTest, ScoresFarApartDoNotOverflow) {
  BRAID_NEEDS_GPU();
  Random random(3);
  MlaDesc desc = desc_of(2, 128, 64, 32, 64, 16);
  desc.scale = 100;
  check(random, desc);
}

TEST(CudaMlaTest, WiderLatentsThanThereIsRoomForAreRefused) {
  EXPECT_TRUE(can_attend_latents(desc_of(1, 656, 32, 64, 32, 16)));
  EXPECT_FALSE(can_attend_latents(desc_of(1, 657, 32, 64, 32, 16)));
}

}  // namespace
}  // namespace braid::kernels::cuda
