#include "kernels/sample/cuda/adjust_logits.h"

#include <cmath>
#include <memory>

#include "kernels/cuda/test_support.h"
#include "kernels/sample/adjust_test_util.h"
#include "kernels/sample/cpu/adjust_logits.h"

namespace braid::kernels::cuda {
namespace {

using testing::AdjustCase;

Grid<float> on_cpu(const AdjustCase& batch) {
  Grid<float> out(batch.rows(), batch.vocab_size());
  std::vector<std::byte> scratch(
      static_cast<size_t>(cpu::adjust_scratch_bytes(batch.vocab_size())));
  AdjustArgs args = batch.row(0);
  args.out = out.matrix();
  cpu::adjust_logits(batch.desc(), batch.rows(), args, scratch.data());
  return out;
}

// The batch's operands in device memory.
class OnGpu {
 public:
  explicit OnGpu(const AdjustCase& batch) : batch_(batch) {
    args_ = batch.args(0, [this](const auto& values) { return copy(values); });
  }

  std::vector<float> run(int64_t first, int64_t count, const Rows* limited = nullptr) const {
    const DeviceArray<float> out(count * batch_.vocab_size());
    AdjustArgs args = args_;
    args.logits.data = args.logits.row(first);
    args.sequences += first;
    args.positions += first;
    args.prompt_size += first;
    args.penalties.data = args.penalties.row(first);
    args.bias_ids.data = args.bias_ids.row(first);
    args.biases.data = args.biases.row(first);
    args.out = {out.data(), batch_.vocab_size()};
    adjust_logits(batch_.desc(), limited != nullptr ? *limited : Rows{count}, args, nullptr);
    return out.fetch();
  }

 private:
  const float* copy(const std::vector<float>& values) {
    floats_.push_back(std::make_unique<DeviceArray<float>>(values));
    return floats_.back()->data();
  }
  const int32_t* copy(const std::vector<int32_t>& values) {
    integers_.push_back(std::make_unique<DeviceArray<int32_t>>(values));
    return integers_.back()->data();
  }

  const AdjustCase& batch_;
  std::vector<std::unique_ptr<DeviceArray<float>>> floats_;
  std::vector<std::unique_ptr<DeviceArray<int32_t>>> integers_;
  AdjustArgs args_;
};

TEST(CudaAdjustLogitsTest, AreTheCpus) {
  BRAID_NEEDS_GPU();
  for (const int64_t vocab_size : {7, 1000, 8192, 8193, 151936}) {
    for (const int32_t page_size : {8, 16, 64}) {
      AdjustCase batch(vocab_size, page_size);
      batch.add_random(/*rows=*/11, /*seed=*/static_cast<uint64_t>(vocab_size));
      const Grid<float> want = on_cpu(batch);
      const std::vector<float> got = OnGpu(batch).run(0, batch.rows());
      const size_t bytes = got.size() * sizeof(float);
      EXPECT_EQ(std::memcmp(got.data(), want.input().data, bytes), 0) << vocab_size;
    }
  }
}

TEST(CudaAdjustLogitsTest, ARowDependsOnItselfAlone) {
  BRAID_NEEDS_GPU();
  AdjustCase batch(20000, 16);
  batch.add_random(/*rows=*/9, /*seed=*/2);
  const OnGpu device(batch);
  const std::vector<float> all = device.run(0, 9);
  for (int64_t row = 0; row < 9; ++row) {
    const std::vector<float> alone = device.run(row, 1);
    EXPECT_EQ(std::memcmp(alone.data(), all.data() + row * 20000, 20000 * sizeof(float)), 0);
  }
}

TEST(CudaAdjustLogitsTest, TheCountLimitsTheRows) {
  BRAID_NEEDS_GPU();
  AdjustCase batch(100, 16);
  batch.add_random(/*rows=*/5, /*seed=*/4);
  const DeviceArray<int32_t> count(std::vector<int32_t>{3});
  const Rows limited{5, 0, count.data()};
  const std::vector<float> got = OnGpu(batch).run(0, 5, &limited);
  EXPECT_FALSE(std::isnan(got[3 * 100 - 1]));
  EXPECT_TRUE(std::isnan(got[3 * 100]));
}

}  // namespace
}  // namespace braid::kernels::cuda
