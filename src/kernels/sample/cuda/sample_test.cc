#include "kernels/sample/cuda/sample.h"

#include <cmath>
#include <limits>

#include "kernels/cuda/test_support.h"
#include "kernels/sample/cpu/sample.h"

namespace braid::kernels::cuda {
namespace {

using cpu::SampleRow;

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<int32_t> on_cpu(const std::vector<SampleRow>& how, const Grid<float>& logits) {
  std::vector<int32_t> ids;
  std::vector<std::byte> scratch(static_cast<size_t>(cpu::sample_scratch_bytes(logits.cols())));
  for (size_t r = 0; r < how.size(); ++r) {
    ids.push_back(cpu::sample(how[r], logits.cols(), logits.input().row(static_cast<int64_t>(r)),
                              scratch.data()));
  }
  return ids;
}

// The parameters stand in device memory as columns of one element.
struct DeviceRows {
  DeviceArray<float> temperature, top_p, log_min_p;
  DeviceArray<int32_t> top_k, position;
  DeviceArray<uint64_t> seed;

  explicit DeviceRows(const std::vector<SampleRow>& how)
      : temperature(column(how, &SampleRow::temperature)),
        top_p(column(how, &SampleRow::top_p)),
        log_min_p(column(how, &SampleRow::log_min_p)),
        top_k(column(how, &SampleRow::top_k)),
        position(column(how, &SampleRow::position)),
        seed(column(how, &SampleRow::seed)) {}

  template <typename T>
  static std::vector<T> column(const std::vector<SampleRow>& how, T SampleRow::*member) {
    std::vector<T> out;
    for (const SampleRow& row : how) out.push_back(row.*member);
    return out;
  }
};

std::vector<int32_t> on_gpu(const std::vector<SampleRow>& how, const Grid<float>& logits,
                            int64_t first = 0, int64_t count = -1, const Rows* limited = nullptr) {
  const int64_t rows = count < 0 ? logits.rows() : count;
  const DeviceGrid<float> device_logits(logits);
  const DeviceRows device(how);
  const DeviceArray<int32_t> ids(rows);
  SampleArgs args;
  args.logits = device_logits.input(first);
  args.temperature = {device.temperature.data() + first, 1};
  args.top_p = {device.top_p.data() + first, 1};
  args.top_k = {device.top_k.data() + first, 1};
  args.seed = {device.seed.data() + first, 1};
  args.position = {device.position.data() + first, 1};
  args.log_min_p = {device.log_min_p.data() + first, 1};
  args.ids = {ids.data(), 1};
  sample(limited != nullptr ? *limited : Rows{rows}, logits.cols(), args, nullptr);
  return ids.fetch();
}

SampleRow drawing(int32_t position, float temperature = 1, float top_p = 1, int32_t top_k = 0) {
  return {temperature, top_p, top_k, 42, position};
}

// Rows of one logit vector, each drawn in another way.
Grid<float> repeated(const std::vector<float>& logits, size_t rows) {
  Grid<float> out(static_cast<int64_t>(rows), static_cast<int64_t>(logits.size()), 1);
  for (int64_t r = 0; r < out.rows(); ++r) {
    std::copy(logits.begin(), logits.end(), out.matrix().row(r));
  }
  return out;
}

TEST(CudaSampleTest, GreedyRowsGetTheCpusToken) {
  BRAID_NEEDS_GPU();
  Random random(1);
  for (const int64_t vocab_size : {1, 7, 1000, 1024, 40000, 151936}) {
    Grid<float> logits(random, 6, vocab_size, 5);
    for (int64_t r = 3; r < 6; ++r) {  // ties
      for (int64_t i = 0; i < vocab_size; ++i) logits.at(r, i) = std::round(logits.at(r, i) * 8);
    }
    const std::vector<SampleRow> how(6);
    EXPECT_EQ(on_gpu(how, logits), on_cpu(how, logits)) << vocab_size;
  }
}

TEST(CudaSampleTest, DrawnRowsGetTheCpusToken) {
  BRAID_NEEDS_GPU();
  Random random(2);
  std::vector<SampleRow> how;
  for (const float temperature : {0.3f, 1.0f, 2.5f}) {
    for (const int32_t top_k : {0, 1, 20, 1024, 1500, 100000}) {
      for (const float top_p : {0.1f, 0.8f, 0.95f, 1.0f}) {
        how.push_back(drawing(static_cast<int32_t>(how.size()), temperature, top_p, top_k));
        how.back().seed = random();
        how.push_back(how.back());
        how.back().log_min_p = std::log(how.size() % 4 == 0 ? 0.02f : 0.6f);
      }
    }
  }
  for (const int64_t vocab_size : {1, 33, 1000, 5003, 40000}) {
    SCOPED_TRACE(vocab_size);
    Grid<float> logits(random, static_cast<int64_t>(how.size()), vocab_size, 3);
    for (int64_t r = 0; r < logits.rows(); ++r) {
      for (int64_t i = 0; i < vocab_size; ++i) {
        float& logit = logits.at(r, i);
        // A few rows with ties; all with some that are much more likely.
        logit = r % 4 == 0 ? std::round(logit * 5) : 8 * logit * logit * logit;
      }
    }
    EXPECT_EQ(on_gpu(how, logits), on_cpu(how, logits));
  }
}

// More equal ids than are sorted at a time, at the edges of what is kept.
TEST(CudaSampleTest, ManyEqualIds) {
  BRAID_NEEDS_GPU();
  std::vector<SampleRow> how;
  for (int32_t i = 0; i < 60; ++i) {
    how.push_back(drawing(i, 1, i % 2 == 0 ? 0.5f : 0.25f));
    how.push_back(drawing(i, 1, 1, 2500 - i));
    how.push_back(drawing(i));
  }
  const Grid<float> logits = repeated(std::vector<float>(5000, -3.0f), how.size());
  const auto got = on_gpu(how, logits);
  EXPECT_EQ(got, on_cpu(how, logits));
  EXPECT_LT(*std::max_element(got.begin(), got.begin() + 2), 2500);
}

TEST(CudaSampleTest, OddLogitsAndParameters) {
  BRAID_NEEDS_GPU();
  const std::vector<float> vectors[] = {{kNaN, kNaN, kNaN},
                                        {kNaN, 1.0f, kNaN},
                                        {-kInfinity, -kInfinity, -kInfinity},
                                        {kNaN, -kInfinity, -kInfinity},
                                        {1.0f, kInfinity, kInfinity},
                                        {-kInfinity, 4.0f, kNaN},
                                        {0.0f, -0.0f, 0.0f},
                                        {3e38f, -3e38f, 0.0f},
                                        {1.0f, kNaN, 2.0f},
                                        {-kInfinity, 4.0f, -kInfinity},
                                        {0.0f, 5.0f, 1.0f}};
  for (const std::vector<float>& logits : vectors) {
    std::vector<SampleRow> how;
    for (const float temperature : {0.0f, 1.0f, -1.0f, kNaN, 1e-30f, kInfinity}) {
      for (const float top_p : {1.0f, 0.5f, 0.0f, -1.0f, kNaN, 2.0f}) {
        for (const int32_t top_k : {0, 1, 2, -5}) {
          how.push_back(drawing(static_cast<int32_t>(how.size()), temperature, top_p, top_k));
        }
      }
    }
    const Grid<float> grid = repeated(logits, how.size());
    EXPECT_EQ(on_gpu(how, grid), on_cpu(how, grid)) << logits[0] << " " << logits[1];
  }
}

TEST(CudaSampleTest, DependsOnItsOwnRowAlone) {
  BRAID_NEEDS_GPU();
  Random random(3);
  const Grid<float> logits(random, 9, 3000, 1);
  std::vector<SampleRow> how;
  for (int32_t r = 0; r < 9; ++r) how.push_back(drawing(r, 2, r % 2 == 0 ? 0.9f : 1, r % 3 * 40));
  const auto all = on_gpu(how, logits);
  for (int64_t r = 0; r < 9; ++r) {
    EXPECT_EQ(on_gpu(how, logits, r, 1)[0], all[static_cast<size_t>(r)]);
  }
}

TEST(CudaSampleTest, TheCountLimitsTheRows) {
  BRAID_NEEDS_GPU();
  Random random(4);
  const Grid<float> logits(random, 5, 100);
  const std::vector<SampleRow> how(5, drawing(3));
  const auto want = on_cpu(how, logits);
  const DeviceArray<int32_t> count(std::vector<int32_t>{3});
  const Rows limited{5, 0, count.data()};
  const auto got = on_gpu(how, logits, 0, 5, &limited);
  for (size_t r = 0; r < 5; ++r) EXPECT_EQ(got[r], r < 3 ? want[r] : -1);
}

}  // namespace
}  // namespace braid::kernels::cuda
