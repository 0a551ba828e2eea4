#include "kernels/gemm/cuda/stream_gemm.h"

#include "kernels/cuda/late_copy.h"
#include "kernels/gemm/cpu/gemm.h"
#include "kernels/gemm/cuda/test_support.h"
#include "kernels/norm/cuda/norm.h"
#include "kernels/rows/cuda/rows.h"

namespace braid::kernels::cuda {
namespace {

using gemm_test::DeviceGrid;
using gemm_test::Grid;
using gemm_test::kBound;
using gemm_test::need;
using gemm_test::Random;
using gemm_test::synchronize;

constexpr int64_t kMostRows = kMostStreamRows;
constexpr int64_t kMostNormRows = 8;  // that the kernel normalises itself
constexpr float kEps = 1e-5f;

template <typename T>
void copy_rows_late(const DeviceGrid<T>& from, const DeviceGrid<T>& to, int64_t rows,
                    cudaStream_t stream) {
  const auto bytes = static_cast<size_t>(rows * from.stride()) * sizeof(T);
  copy_late(from.data(), to.data(), bytes, stream);
}

struct Case {
  int64_t n = 0;
  int64_t k = 0;
  Epilogue epilogue = Epilogue::none;
  bool bias = false;
  bool norm = false;
  bool residual = false;

  int64_t y_cols() const { return epilogue == Epilogue::swiglu ? n / 2 : n; }
  int64_t rows() const { return norm ? kMostNormRows : kMostRows; }
};

// Operands on both sides.
template <typename Y>
struct Problem {
  Problem(Random& random, const Case& from)
      : c(from),
        x(random, c.rows(), c.k),
        w(random, c.n, c.k),
        bias(random, 1, c.n),
        norm_weight(random, 1, c.k),
        residual(random, c.rows(), c.y_cols(), 8),
        x_gpu(x),
        w_gpu(w),
        bias_gpu(bias),
        norm_gpu(norm_weight),
        residual_gpu(residual) {}

  GemmShape shape() const {
    return {.n = c.n,
            .k = c.k,
            .out = std::is_same_v<Y, float> ? Format::f32 : Format::bf16,
            .bias = c.bias,
            .norm = c.norm,
            .residual = c.residual};
  }
  GemmDesc desc() const {
    return {.epilogue = c.epilogue, .tuned_rows = static_cast<int32_t>(c.rows()), .norm_eps = kEps};
  }
  GemmOperands operands(int64_t first, const DeviceGrid<Y>& y) const {
    return {.x = x_gpu.data(first),
            .x_stride = x_gpu.stride(),
            .w = w_gpu.data(),
            .w_stride = w_gpu.stride(),
            .bias = c.bias ? bias_gpu.data() : nullptr,
            .y = y.data(),
            .y_stride = y.stride(),
            .norm_weight = c.norm ? norm_gpu.data() : nullptr,
            .residual = c.residual ? residual_gpu.data(first) : nullptr,
            .residual_stride = residual_gpu.stride()};
  }
  // Rows [first, first + count) of y, with columns of poison behind them.
  Grid<Y> run(int64_t first, int64_t count, int32_t sm_count = 0) const {
    const DeviceGrid<Y> y(count, c.y_cols() + 8);
    launch(count, operands(first, y), cudaStream_t{}, sm_count);
    return fetch(y, count);
  }
  void launch(int64_t count, const GemmOperands& operands, const KernelStream& on,
              int32_t sm_count = 0) const {
    const std::optional<StreamGemmConfig> config = stream_gemm_config(desc(), shape(), count);
    ASSERT_TRUE(config.has_value());
    ASSERT_EQ(config->norm, c.norm);
    stream_gemm(desc(), shape(), *config, count, operands, on, sm_count);
  }
  Grid<Y> fetch(const DeviceGrid<Y>& y, int64_t count) const {
    Grid<Y> grid(count, c.y_cols(), 8);
    y.download(grid);
    gemm_test::expect_poison(grid, count, c.y_cols());
    return grid;
  }
  // Row `row` of y, without norm and residual.
  Grid<float> on_the_cpu(int64_t row) const {
    Grid<float> y(1, c.y_cols());
    cpu::gemm<bf16, bf16, float>({.epilogue = c.epilogue}, 1, c.n, c.k, x.input(row), w.input(),
                                 c.bias ? bias.input().data : nullptr, y.matrix());
    return y;
  }

  Case c;
  Grid<bf16> x, w, bias, norm_weight;
  Grid<Y> residual;
  DeviceGrid<bf16> x_gpu, w_gpu, bias_gpu, norm_gpu;
  DeviceGrid<Y> residual_gpu;
};

template <typename Y>
void expect_same(const Grid<Y>& got, const Grid<Y>& want, int64_t first, const char* what) {
  for (int64_t r = 0; r < got.rows(); ++r) {
    ASSERT_TRUE(got.same_row(r, want, first + r)) << what << ": row " << first + r;
  }
}

std::string name(const Case& c) {
  return fmt::format("{} x {}, swiglu {}, bias {}, norm {}, residual {}", c.n, c.k,
                     static_cast<int>(c.epilogue), c.bias, c.norm, c.residual);
}

// Rows against the CPU's, then every number of rows and every row alone against the whole.
template <typename Y>
void check(const Case& c) {
  SCOPED_TRACE(name(c));
  Random random(7);
  const Problem<Y> problem(random, c);
  const int64_t rows = c.rows();
  const Grid<Y> whole = problem.run(0, rows);
  if (!c.norm && !c.residual) {
    for (const int64_t row : {int64_t{0}, int64_t{11}}) {
      const Grid<float> want = problem.on_the_cpu(row);
      double error = 0, norm = 0;
      for (int64_t col = 0; col < c.y_cols(); ++col) {
        error += std::pow(whole.value(row, col) - want.value(0, col), 2);
        norm += std::pow(want.value(0, col), 2);
      }
      ASSERT_LE(std::sqrt(error), kBound<Y> / 2 * std::sqrt(norm)) << "row " << row;
    }
  }
  for (int64_t count = 1; count <= rows; ++count) {
    expect_same(problem.run(0, count), whole, 0, "fewer rows");
    expect_same(problem.run(rows - count, 1), whole, rows - count, "a row alone");
    expect_same(problem.run(0, rows), whole, 0, "again");
  }
}

constexpr Case kRealShapes[] = {
    {5120, 2048},  {2048, 4096},  {14336, 4096}, {4096, 12288}, {128, 2048},  {128, 4096},
    {2048, 512},   {1536, 5120},  {576, 7168},   {4096, 1408},  {1024, 3072}, {8192, 8192},
    {4096, 14336}, {2048, 14784}, {8, 64},       {2816, 4096},  {136, 1088},
};

TEST(CudaStreamGemmTest, RealShapes) {
  BRAID_GPU_TEST();
  for (const Case& c : kRealShapes) check<bf16>(c);
}

TEST(CudaStreamGemmTest, AVocabulary) {
  BRAID_GPU_TEST();
  check<float>({37984, 2048});
}

TEST(CudaStreamGemmTest, Epilogues) {
  BRAID_GPU_TEST();
  for (const int64_t k : {int64_t{768}, int64_t{2048}, int64_t{5120}}) {
    for (const Epilogue epilogue : {Epilogue::none, Epilogue::swiglu}) {
      for (const bool bias : {false, true}) {
        check<bf16>({.n = 2816, .k = k, .epilogue = epilogue, .bias = bias});
        check<float>({.n = 2816, .k = k, .epilogue = epilogue, .bias = bias});
      }
      check<bf16>({.n = 1408, .k = k, .epilogue = epilogue, .norm = k == 2048, .residual = true});
    }
  }
}

// x normalised inside, against rms_norm() and the product of what it gives.
void check_norm(int64_t k, int64_t rows) {
  SCOPED_TRACE(testing::Message() << "k " << k << " rows " << rows);
  constexpr int64_t kColumns = 320;
  Random random(8);
  const Problem<bf16> problem(random, {.n = kColumns, .k = k, .norm = true});
  Problem<bf16> apart(random, {.n = kColumns, .k = k});
  const Grid<bf16> got = problem.run(0, rows);
  const DeviceGrid<bf16> normed(rows, k), y(rows, kColumns + 8);
  rms_norm<bf16>({.eps = kEps}, {.capacity = rows}, k,
                 {problem.x_gpu.data(), problem.x_gpu.stride()}, problem.norm_gpu.data(),
                 {normed.data(), normed.stride()}, cudaStream_t{});
  GemmOperands operands = problem.operands(0, y);
  operands.x = normed.data();
  operands.norm_weight = nullptr;
  apart.launch(rows, operands, cudaStream_t{});
  expect_same(got, problem.fetch(y, rows), 0, "norm apart");
}

TEST(CudaStreamGemmTest, NormalisesAsRmsNormDoes) {
  BRAID_GPU_TEST();
  for (const int64_t k : {1088, 1536, 2048, 2880, 4096}) {
    for (const int64_t rows : {1, 2, 3, 5, 8}) check_norm(k, rows);
  }
}

TEST(CudaStreamGemmTest, AddsAResidualAsAddDoes) {
  BRAID_GPU_TEST();
  Random random(9);
  for (const Epilogue epilogue : {Epilogue::none, Epilogue::swiglu}) {
    const Problem<bf16> problem(
        random, {.n = 640, .k = 1536, .epilogue = epilogue, .bias = true, .residual = true});
    const int64_t cols = problem.c.y_cols();
    const Grid<bf16> got = problem.run(0, kMostRows);
    const DeviceGrid<bf16> y(kMostRows, cols + 8);
    GemmOperands operands = problem.operands(0, y);
    operands.residual = nullptr;
    problem.launch(kMostRows, operands, cudaStream_t{});
    add<bf16>({.capacity = kMostRows}, cols, {y.data(), y.stride()},
              {problem.residual_gpu.data(), problem.residual_gpu.stride()}, {y.data(), y.stride()},
              cudaStream_t{});
    expect_same(got, problem.fetch(y, kMostRows), 0, "residual apart");
  }
}

// x, the residual and, unless they are constant, the weights come late.
void check_late_producer(const Case& c, bool constant_weights) {
  SCOPED_TRACE(testing::Message() << name(c) << ", constant weights " << constant_weights);
  Random random(10);
  const Problem<bf16> problem(random, c);
  cudaStream_t stream = nullptr;
  need(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  for (const int64_t rows : {int64_t{1}, int64_t{5}, c.rows()}) {
    const Grid<bf16> want = problem.run(0, rows);
    for (int repeat = 0; repeat < 5; ++repeat) {
      const DeviceGrid<bf16> late_x(rows, problem.x_gpu.stride()), y(rows, c.n + 8);
      const DeviceGrid<bf16> late_residual(rows, problem.residual_gpu.stride());
      const DeviceGrid<bf16> late_w(c.n, problem.w_gpu.stride());
      GemmOperands operands = problem.operands(0, y);
      operands.x = late_x.data();
      operands.residual = late_residual.data();
      copy_rows_late(problem.residual_gpu, late_residual, rows, stream);
      if (!constant_weights) {
        operands.w = late_w.data();
        copy_rows_late(problem.w_gpu, late_w, c.n, stream);
      }
      copy_rows_late(problem.x_gpu, late_x, rows, stream);
      problem.launch(rows, operands, {stream, true, constant_weights});
      expect_same(problem.fetch(y, rows), want, 0, "late");
    }
  }
  need(cudaStreamDestroy(stream));
}

TEST(CudaStreamGemmTest, AwaitsTheKernelBefore) {
  BRAID_GPU_TEST();
  for (const bool constant_weights : {true, false}) {
    check_late_producer({.n = 2048, .k = 4096, .norm = true, .residual = true}, constant_weights);
    check_late_producer({.n = 2048, .k = 4096, .residual = true}, constant_weights);
  }
}

// Each product's x is the y of the one before, which still runs when the product starts.
TEST(CudaStreamGemmTest, AChainThatOverlapsGivesTheBitsOfOneThatDoesNot) {
  BRAID_GPU_TEST();
  constexpr int kLength = 12;
  Random random(11);
  const Problem<bf16> problem(random, {.n = 2048, .k = 2048, .norm = true});
  cudaStream_t stream = nullptr;
  need(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  const auto run = [&](bool follows) {
    const DeviceGrid<bf16> even(8, 2048 + 8), odd(8, 2048 + 8);
    for (int i = 0; i < kLength; ++i) {
      GemmOperands operands = problem.operands(0, i % 2 == 0 ? even : odd);
      if (i > 0) operands.x = i % 2 == 0 ? odd.data() : even.data();
      if (i > 0) operands.x_stride = even.stride();
      problem.launch(8, operands, {stream, follows && i > 0, true});
    }
    synchronize();
    return problem.fetch(odd, 8);
  };
  const Grid<bf16> apart = run(false);
  for (int repeat = 0; repeat < 20; ++repeat) expect_same(run(true), apart, 0, "overlapped");
  need(cudaStreamDestroy(stream));
}

TEST(CudaStreamGemmTest, FewerSmsChangeNoBit) {
  BRAID_GPU_TEST();
  Random random(12);
  for (const int64_t k : {int64_t{2048}, int64_t{5120}}) {
    const Problem<bf16> problem(random, {.n = 2560, .k = k});
    const Grid<bf16> all = problem.run(0, kMostRows);
    for (const int32_t sms : {1, 16, 66, 131}) {
      expect_same(problem.run(0, kMostRows, sms), all, 0, "fewer SMs");
    }
  }
}

// ---- Which products it takes ----

constexpr GemmDesc kFew{.tuned_rows = 8};

TEST(StreamGemmConfigTest, IsAFunctionOfTheProduct) {
  const auto text = [](const GemmShape& shape, int64_t rows) {
    return to_string(*stream_gemm_config({}, shape, rows));
  };
  EXPECT_EQ(text({5120, 2048}, 1), "stream 8x1024, 2 chunks, 6 stages of 16 KiB");
  EXPECT_EQ(text({14336, 4096}, 1), "stream 8x1024, 4 chunks, 8 stages of 16 KiB");
  EXPECT_EQ(text({4096, 12288}, 16), "stream 8x1024, 12 chunks, 8 stages of 16 KiB");
  EXPECT_EQ(text({2048, 1088}, 3), "stream 8x1024, 2 chunks, 6 stages of 16 KiB");
  GemmShape normed{5120, 2048};
  normed.norm = true;
  EXPECT_EQ(text(normed, 8), "stream 8x1024, 2 chunks, 6 stages of 16 KiB, norm");
  EXPECT_EQ(text(normed, 9), "stream 8x1024, 2 chunks, 6 stages of 16 KiB");
  for (const int64_t rows : {1, 2, 5, 9, 16}) {
    EXPECT_EQ(text({5120, 2048}, rows), text({5120, 2048}, 8));
  }
}

TEST(StreamGemmConfigTest, LeavesTheRestToCublas) {
  const auto taken = [](const GemmDesc& desc, const GemmShape& shape, int64_t rows) {
    return stream_gemm_config(desc, shape, rows).has_value();
  };
  EXPECT_TRUE(taken(kFew, {2048, 2048}, 8));
  EXPECT_TRUE(taken({}, {2048, 2048}, 16));
  EXPECT_FALSE(taken({}, {2048, 2048}, 17));
  EXPECT_FALSE(taken({.tuned_rows = 17}, {2048, 2048}, 8));  // a part of a larger op
  EXPECT_FALSE(taken(kFew, {2048, 2048}, 17));
  EXPECT_FALSE(taken({.k_slots = 2}, {2048, 2048}, 8));
  EXPECT_FALSE(taken(kFew, {2044, 2048}, 8));
  EXPECT_FALSE(taken(kFew, {2048, 2080}, 8));
  EXPECT_FALSE(taken(kFew, {2048, 2048, Format::f32, Format::f32}, 8));
  EXPECT_TRUE(taken(kFew, {2048, 2048, Format::bf16, Format::f32}, 8));
}

TEST(StreamGemmConfigTest, LeavesNormsThatTakeLongerOrThatItWouldAddUpOtherwise) {
  for (const int64_t k : {1024, 4160, 12288}) {
    GemmShape shape{2048, k};
    shape.norm = true;
    EXPECT_FALSE(stream_gemm_config(kFew, shape, 8)->norm) << k;
  }
}

TEST(GemmOverlapTest, FollowsWhereTheFirstKernelAwaitsTheOneBefore) {
  GemmShape shape{2048, 2048};
  EXPECT_TRUE(gemm_overlap(kFew, shape, 8).follows);
  EXPECT_TRUE(gemm_overlap(kFew, shape, 8).reads_early);
  EXPECT_FALSE(gemm_overlap({}, shape, 32).follows);
  shape.norm = true;  // by a kernel of its own
  EXPECT_TRUE(gemm_overlap({}, shape, 32).follows);
  EXPECT_FALSE(gemm_overlap({}, shape, 32).reads_early);
}

TEST(StreamGemmConfigTest, OperandsAreAligned) {
  alignas(16) static std::byte memory[64];
  const GemmShape shape{2048, 2048};
  const GemmOperands good{.x = memory,
                          .x_stride = 2048,
                          .w = memory,
                          .w_stride = 2048,
                          .y = memory + 4,
                          .y_stride = 2050};
  EXPECT_TRUE(can_stream(shape, good));
  const auto without = [&](auto change) {
    GemmOperands operands = good;
    change(operands);
    return can_stream(shape, operands);
  };
  EXPECT_FALSE(without([](GemmOperands& o) { o.x = memory + 8; }));
  EXPECT_FALSE(without([](GemmOperands& o) { o.x_stride = 2052; }));
  EXPECT_FALSE(without([](GemmOperands& o) { o.w = memory + 2; }));
  EXPECT_FALSE(without([](GemmOperands& o) { o.y_stride = 2049; }));
  EXPECT_FALSE(without([](GemmOperands& o) { o.bias = memory + 2; }));
  EXPECT_FALSE(without([](GemmOperands& o) { o.residual = memory + 2; }));
  EXPECT_FALSE(without([](GemmOperands& o) { o.norm_weight = memory + 2; }));
}

}  // namespace
}  // namespace braid::kernels::cuda
