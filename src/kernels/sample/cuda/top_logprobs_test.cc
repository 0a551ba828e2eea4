#include "kernels/sample/cuda/top_logprobs.h"

#include <cmath>
#include <limits>

#include "kernels/cuda/test_support.h"
#include "kernels/sample/cpu/top_logprobs.h"

namespace braid::kernels::cuda {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr int64_t kColumns = 1 + kMaxTopLogprobs;

struct Listed {
  std::vector<float> logprobs;
  std::vector<int32_t> ids;
};

Listed on_cpu(const Grid<float>& logits, const std::vector<int32_t>& chosen,
              const std::vector<int32_t>& wanted) {
  Listed listed;
  const auto rows = static_cast<size_t>(logits.rows());
  listed.logprobs.resize(rows * kColumns);
  listed.ids.resize(rows * kMaxTopLogprobs);
  std::vector<std::byte> scratch(
      static_cast<size_t>(cpu::top_logprobs_scratch_bytes(logits.cols())));
  for (size_t r = 0; r < rows; ++r) {
    cpu::top_logprobs(logits.cols(), logits.input().row(static_cast<int64_t>(r)), chosen[r],
                      wanted[r], &listed.logprobs[r * kColumns], &listed.ids[r * kMaxTopLogprobs],
                      scratch.data());
  }
  return listed;
}

Listed on_gpu(const Grid<float>& logits, const std::vector<int32_t>& chosen,
              const std::vector<int32_t>& wanted) {
  const DeviceGrid<float> device(logits);
  const DeviceArray<int32_t> device_chosen(chosen), device_wanted(wanted);
  const DeviceArray<float> logprobs(logits.rows() * kColumns);
  const DeviceArray<int32_t> ids(logits.rows() * kMaxTopLogprobs);
  top_logprobs(Rows{logits.rows()}, logits.cols(),
               {.logits = device.input(),
                .chosen = device_chosen.data(),
                .wanted = device_wanted.data(),
                .logprobs = {logprobs.data(), kColumns},
                .ids = {ids.data(), kMaxTopLogprobs}},
               nullptr);
  return {logprobs.fetch(), ids.fetch()};
}

TEST(CudaTopLogprobsTest, AreTheCpus) {
  BRAID_NEEDS_GPU();
  Random random(1);
  for (const int64_t vocab_size : {1, 7, 1000, 40000, 151936}) {
    Grid<float> logits(random, 12, vocab_size, 5);
    std::vector<int32_t> chosen, wanted;
    for (int64_t r = 0; r < 12; ++r) {
      for (int64_t i = 0; i < vocab_size; ++i) {
        logits.at(r, i) *= static_cast<float>(1 + 20 * r);              // the later, the sharper
        if (r % 3 == 1) logits.at(r, i) = std::round(logits.at(r, i));  // ties
        if (r % 4 == 2 && i % 2 == 0) logits.at(r, i) = -kInfinity;
      }
      chosen.push_back(static_cast<int32_t>(random() % static_cast<uint64_t>(vocab_size)));
      wanted.push_back(static_cast<int32_t>(r == 11 ? 20 : r * 2 - 1));
    }
    if (vocab_size == 1) logits.at(2, 0) = logits.at(6, 0) = logits.at(10, 0) = 1;
    const Listed want = on_cpu(logits, chosen, wanted), got = on_gpu(logits, chosen, wanted);
    EXPECT_EQ(got.ids, want.ids) << vocab_size;
    for (size_t i = 0; i < want.logprobs.size(); ++i) {
      if (std::isinf(want.logprobs[i])) {
        EXPECT_EQ(got.logprobs[i], want.logprobs[i]) << vocab_size << " " << i;
      } else {
        EXPECT_NEAR(got.logprobs[i], want.logprobs[i],
                    1e-6 * (1 + std::abs(static_cast<double>(want.logprobs[i]))))
            << vocab_size << " " << i;
      }
    }
    const Listed again = on_gpu(logits, chosen, wanted);
    EXPECT_EQ(std::memcmp(again.logprobs.data(), got.logprobs.data(),
                          got.logprobs.size() * sizeof(float)),
              0);
  }
}

}  // namespace
}  // namespace braid::kernels::cuda
