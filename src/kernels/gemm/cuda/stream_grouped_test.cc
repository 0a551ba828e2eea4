#include "kernels/gemm/cuda/stream_grouped.h"

#include <numeric>

#include "kernels/cuda/late_copy.h"
#include "kernels/gemm/cpu/gemm.h"
#include "kernels/gemm/cuda/grouped_gemm.h"
#include "kernels/gemm/cuda/test_support.h"

namespace braid::kernels::cuda {
namespace {

using gemm_test::DeviceBytes;
using gemm_test::DeviceGrid;
using gemm_test::Grid;
using gemm_test::kBound;
using gemm_test::need;
using gemm_test::Random;

// A few slots' weights, and rows of x of which the slots take some.
struct Problem {
  Problem(Random& random, const std::vector<int32_t>& rows_of_slots, int64_t wide, int64_t deep,
          Epilogue with)
      : rows(rows_of_slots),
        n(wide),
        k(deep),
        epilogue(with),
        x(random, kXRows, k),
        w(random, slots() * n, k),
        x_gpu(x),
        w_gpu(w) {
    for (const int32_t count : rows) offsets.push_back(offsets.back() + count);
    for (int32_t i = 0; i < total(); ++i) {
      source.push_back(static_cast<int32_t>(cpu::random_below(random, kXRows)));
    }
  }

  static constexpr int64_t kXRows = 29;
  int32_t slots() const { return static_cast<int32_t>(rows.size()); }
  int32_t total() const { return offsets.back(); }
  int64_t y_cols() const { return epilogue == Epilogue::swiglu ? n / 2 : n; }

  // Streamed in lists of 8 (tokens ≤ 8) or of 16.
  template <typename Y>
  GroupedGemmDesc desc(int32_t tokens) const {
    const GroupedGemmDesc made{epilogue, slots(), tokens, tokens};
    const std::string text = explain_grouped_gemm(made, shape<Y>());
    EXPECT_NE(text.find("streaming"), std::string::npos) << text;
    return made;
  }
  template <typename Y>
  GroupedGemmShape shape() const {
    return {n, k, Format::bf16, std::is_same_v<Y, float> ? Format::f32 : Format::bf16};
  }

  template <typename Y>
  Grid<Y> run(int32_t tokens, int32_t sm_count = 0) const {
    const DeviceBytes source_gpu(source), offsets_gpu(offsets);
    Grid<Y> y(total() + 3, y_cols(), 8);
    const DeviceGrid<Y> y_gpu(y.rows(), y.input().stride);
    grouped_gemm(desc<Y>(tokens), shape<Y>(), y.rows(),
                 {x_gpu.data(), x_gpu.stride(), source_gpu.as<int32_t>(), offsets_gpu.as<int32_t>(),
                  w_gpu.data(), w_gpu.stride(), y_gpu.data(), y_gpu.stride()},
                 nullptr, sm_count);
    y_gpu.download(y);
    return y;
  }

  std::vector<int32_t> rows;
  int64_t n;
  int64_t k;
  Epilogue epilogue;
  Grid<bf16> x;
  Grid<bf16> w;
  DeviceGrid<bf16> x_gpu;
  DeviceGrid<bf16> w_gpu;
  std::vector<int32_t> offsets = {0};
  std::vector<int32_t> source;
};

template <typename Y>
void expect_equal_rows(const Grid<Y>& a, const Grid<Y>& b, int64_t rows) {
  for (int64_t r = 0; r < rows; ++r) ASSERT_TRUE(a.same_row(r, b, r)) << "row " << r;
}

template <typename Y>
void check(const Problem& problem) {
  SCOPED_TRACE(testing::Message() << problem.total() << " rows in " << problem.slots()
                                  << " slots, n " << problem.n << " k " << problem.k << " swiglu "
                                  << int(problem.epilogue));
  Grid<Y> want(problem.total(), problem.y_cols());
  cpu::grouped_gemm<bf16, bf16, Y>({problem.epilogue, problem.slots()}, problem.n, problem.k,
                                   problem.x.input(), problem.source.data(), problem.offsets.data(),
                                   problem.w.input(), want.matrix());
  const Grid<Y> short_lists = problem.run<Y>(8), long_lists = problem.run<Y>(16);
  gemm_test::expect_near(short_lists, want, problem.y_cols(), kBound<Y>);
  gemm_test::expect_poison(short_lists, problem.total(), problem.y_cols());
  gemm_test::expect_poison(long_lists, problem.total(), problem.y_cols());
  expect_equal_rows(short_lists, long_lists, problem.total());
  expect_equal_rows(short_lists, problem.run<Y>(8, 3), problem.total());  // on few SMs
}

// Depths that take every form, their last boxes and warps full or not.
constexpr int64_t kDepths[] = {64, 384, 704, 768, 832, 1408, 1536, 1792, 2048, 2880, 4096, 4160};

TEST(CudaStreamGroupedTest, EqualsTheCpuAtEveryDepth) {
  BRAID_GPU_TEST();
  Random random(31);
  for (const int64_t k : kDepths) {
    check<bf16>(Problem(random, {1, 0, 5, 0, 0, 23}, 48, k, Epilogue::swiglu));
    check<bf16>(Problem(random, {0, 9, 1}, 80, k, Epilogue::none));
  }
}

TEST(CudaStreamGroupedTest, SlotsOfAnyNumberOfRows) {
  BRAID_GPU_TEST();
  Random random(32);
  const std::vector<std::vector<int32_t>> groups = {
      {0}, {1}, {0, 0, 8}, {16, 17, 0, 7}, {0, 64, 0, 1}, {2, 2, 2, 2, 2, 2, 2, 2}};
  for (const std::vector<int32_t>& rows : groups) {
    for (const int64_t n : {16, 272, 4096}) {
      check<bf16>(Problem(random, rows, n, 192, Epilogue::none));
      check<bf16>(Problem(random, rows, n, 192, Epilogue::swiglu));
    }
  }
}

TEST(CudaStreamGroupedTest, AsManySlotsAsFit) {
  BRAID_GPU_TEST();
  Random random(33);
  std::vector<int32_t> rows(287, 0);
  rows[0] = 3;
  rows[8] = rows[9] = rows[143] = 1;
  rows[286] = 20;
  check<bf16>(Problem(random, rows, 16, 64, Epilogue::none));
}

TEST(CudaStreamGroupedTest, GivesFloat32) {
  BRAID_GPU_TEST();
  Random random(34);
  for (const int64_t k : {768, 2048, 4160}) {
    check<float>(Problem(random, {4, 0, 19}, 32, k, Epilogue::none));
    check<float>(Problem(random, {4, 0, 19}, 32, k, Epilogue::swiglu));
  }
}

// Alone, in a slot's first list or a later one, behind any others.
TEST(CudaStreamGroupedTest, ARowAloneIsBitwiseTheRowInABatch) {
  BRAID_GPU_TEST();
  Random random(35);
  for (const int64_t k : {768, 1408, 2048, 4160}) {
    Problem problem(random, {3, 0, 40, 1}, 48, k, Epilogue::swiglu);
    const Grid<bf16> whole = problem.run<bf16>(16);
    const std::vector<int32_t> all = problem.source;
    for (int32_t slot = 0, row = 0; slot < problem.slots(); ++slot) {
      for (const int32_t end = row + problem.rows[static_cast<size_t>(slot)]; row < end; ++row) {
        problem.source = {all[static_cast<size_t>(row)]};
        problem.offsets.assign(static_cast<size_t>(slot) + 1, 0);
        problem.offsets.resize(static_cast<size_t>(problem.slots()) + 1, 1);
        const Grid<bf16> alone = problem.run<bf16>(1);
        ASSERT_TRUE(alone.same_row(0, whole, row)) << "row " << row << " k " << k;
      }
      problem.offsets = {0};
      for (const int32_t count : problem.rows) {
        problem.offsets.push_back(problem.offsets.back() + count);
      }
    }
  }
}

// Offsets, source and x are another kernel's, which is late.
TEST(CudaStreamGroupedTest, AwaitsTheKernelInFront) {
  BRAID_GPU_TEST();
  Random random(36);
  for (const int64_t k : {384, 2048, 4160}) {
    const Problem problem(random, {1, 0, 12, 3}, 96, k, Epilogue::swiglu);
    const Grid<bf16> want = problem.run<bf16>(8);
    // One copy brings all: offsets, source, then x.
    std::vector<std::byte> words(128);
    std::memcpy(words.data(), problem.offsets.data(), problem.offsets.size() * sizeof(int32_t));
    std::memcpy(words.data() + 32, problem.source.data(), problem.source.size() * sizeof(int32_t));
    const auto x_bytes = static_cast<size_t>(Problem::kXRows * k) * sizeof(bf16);
    std::vector<std::byte> all(words.size() + x_bytes);
    std::memcpy(all.data(), words.data(), words.size());
    std::memcpy(all.data() + words.size(), problem.x.input().data, x_bytes);
    const DeviceBytes from(all), late(all.size());
    const DeviceGrid<bf16> y_gpu(problem.total(), problem.y_cols());
    cudaStream_t stream = nullptr;
    need(cudaStreamCreate(&stream));
    copy_late(from.as<std::byte>(), late.as<std::byte>(), all.size(), stream);
    grouped_gemm(problem.desc<bf16>(8), problem.shape<bf16>(), problem.total(),
                 {late.as<std::byte>() + words.size(), k, late.as<int32_t>() + 8,
                  late.as<int32_t>(), problem.w_gpu.data(), k, y_gpu.data(), problem.y_cols()},
                 KernelStream(stream, true, false));
    Grid<bf16> got(problem.total(), problem.y_cols());
    y_gpu.download(got);
    expect_equal_rows(got, want, problem.total());
    need(cudaStreamDestroy(stream));
  }
}

TEST(StreamGroupedTest, TokensThatAreMultipliedAlikeTakeTheSameKernel) {
  const auto takes = [](int32_t tokens, int32_t of_token, int32_t slots) {
    const GroupedGemmDesc desc{Epilogue::none, slots, tokens * of_token, tokens};
    return explain_grouped_gemm(desc, {2048, 768});
  };
  const std::string few = "sm90 streaming grouped GEMM, tile 8x16, 1 boxes of 768 columns";
  const std::string more = "sm90 streaming grouped GEMM, tile 16x16, 1 boxes of 768 columns";
  EXPECT_EQ(takes(1, 8, 128), few);
  EXPECT_EQ(takes(8, 8, 128), few);
  for (const int32_t tokens : {9, 16, 17, 64, 128}) EXPECT_EQ(takes(tokens, 8, 128), more);
  EXPECT_EQ(takes(129, 8, 128).find("streaming"), std::string::npos);
  // Two of eight experts: up to 16 tokens, and from 17 on none, so that 17 and 64 are alike.
  EXPECT_EQ(takes(16, 2, 8), more);
  for (const int32_t tokens : {17, 32, 64}) {
    EXPECT_EQ(takes(tokens, 2, 8).find("streaming"), std::string::npos) << tokens;
  }
  EXPECT_EQ(takes(0, 8, 128).find("streaming"), std::string::npos);
}

TEST(StreamGroupedTest, TakesWholeBlocksOfColumns) {
  EXPECT_TRUE(can_stream(128, 1536, 2048));
  EXPECT_FALSE(can_stream(128, 1536, 2080));
  EXPECT_FALSE(can_stream(128, 1528, 2048));
  EXPECT_FALSE(can_stream(288, 1536, 2048));
  EXPECT_TRUE(can_stream_by_row(128, 2048, 4096, 16));
  EXPECT_FALSE(can_stream_by_row(128, 2048, 4160, 16));
  EXPECT_FALSE(can_stream_by_row(128, 2048, 4096, 17));
}

}  // namespace
}  // namespace braid::kernels::cuda
