#include "kernels/gemm/cuda/gemm.h"

#include "kernels/gemm/cpu/gemm.h"
#include "kernels/gemm/cuda/blas_config.h"
#include "kernels/gemm/cuda/test_support.h"
#include "kernels/gemm/gemm_test_types.h"
#include "kernels/norm/cuda/norm.h"
#include "kernels/rows/cuda/rows.h"

namespace braid::kernels::cuda {
namespace {

using gemm_test::DeviceBytes;
using gemm_test::DeviceGrid;
using gemm_test::Grid;
using gemm_test::kBound;
using gemm_test::need;
using gemm_test::Random;

template <typename T>
constexpr Format kFormat = std::is_same_v<T, float> ? Format::f32 : Format::bf16;

// A stream with a cuBLASLt handle and workspace.
class Blas {
 public:
  Blas() : workspace_(kBlasWorkspaceBytes) {
    need(cudaStreamCreate(&queue_.stream.stream));
    check_blas(cublasLtCreate(&queue_.handle), "cublasLtCreate");
    queue_.workspace = workspace_.as<void>();
  }
  ~Blas() {
    cublasLtDestroy(queue_.handle);
    cudaStreamDestroy(queue_.stream.stream);
  }
  const BlasQueue& queue() const { return queue_; }

 private:
  DeviceBytes workspace_;
  BlasQueue queue_;
};

struct Case {
  GemmDesc desc;
  int64_t m = 0;
  int64_t n = 0;
  int64_t k = 0;
  bool bias = false;
  int64_t padding = 0;  // columns behind those of x, W and y
  int64_t shift = 0;    // elements that x and y stand behind an aligned address

  int64_t y_cols() const { return desc.epilogue == Epilogue::swiglu ? n / 2 : n; }
};

// Operands on both sides.
template <typename X, typename Y>
struct Problem {
  Problem(Random& random, const Case& from)
      : c(from),
        x(random, c.m, c.k, c.padding),
        w(random, c.n * c.desc.k_slots, c.k / c.desc.k_slots, c.padding),
        bias(random, 1, c.n),
        x_gpu(x, c.shift),
        w_gpu(w),
        bias_gpu(bias) {}

  GemmShape shape() const { return {c.n, c.k, kFormat<X>, kFormat<Y>, c.bias}; }

  // Rows [first, first + count) of y.
  Grid<Y> run(const Blas& blas, const GemmDesc& desc, int64_t first, int64_t count,
              int32_t sm_count = 0) const {
    Grid<Y> y(count, c.y_cols(), c.padding);
    const DeviceGrid<Y> y_gpu(count, y.input().stride, c.shift);
    const DeviceBytes scratch(static_cast<size_t>(gemm_scratch_bytes(desc, shape(), count)));
    gemm(desc, shape(), count, operands(first, y_gpu), scratch.as<void>(), blas.queue(), sm_count);
    y_gpu.download(y);
    return y;
  }
  GemmOperands operands(int64_t first, const DeviceGrid<Y>& y) const {
    return {x_gpu.data(first),
            x_gpu.stride(),
            w_gpu.data(),
            w_gpu.stride(),
            c.bias ? bias_gpu.data() : nullptr,
            y.data(),
            y.stride()};
  }
  Grid<Y> on_the_cpu() const {
    Grid<Y> y(c.m, c.y_cols());
    cpu::gemm<X, X, Y>(c.desc, c.m, c.n, c.k, x.input(), w.input(),
                       c.bias ? bias.input().data : nullptr, y.matrix());
    return y;
  }

  Case c;
  Grid<X> x, w, bias;
  DeviceGrid<X> x_gpu, w_gpu, bias_gpu;
};

template <typename Types>
class CudaGemmTest : public testing::Test {
 protected:
  using X = typename Types::X;
  using Y = typename Types::Y;

  static void check(Random& random, const Case& c) {
    SCOPED_TRACE(testing::Message()
                 << "m " << c.m << " n " << c.n << " k " << c.k << " k_slots " << c.desc.k_slots
                 << " swiglu " << int(c.desc.epilogue) << " bias " << c.bias << " padding "
                 << c.padding << " shift " << c.shift);
    const Blas blas;
    const Problem<X, Y> problem(random, c);
    ASSERT_TRUE(can_gemm(c.desc, problem.shape()).ok());
    const Grid<Y> got = problem.run(blas, c.desc, 0, c.m);
    gemm_test::expect_near(got, problem.on_the_cpu(), c.y_cols(), kBound<Y>);
    gemm_test::expect_poison(got, c.m, c.y_cols());
  }
};
TYPED_TEST_SUITE(CudaGemmTest, AllGemmTypes);

constexpr Epilogue kEpilogues[] = {Epilogue::none, Epilogue::swiglu};

TYPED_TEST(CudaGemmTest, EqualsTheCpu) {
  BRAID_GPU_TEST();
  Random random(1);
  for (const int64_t m : {1, 5, 8, 127, 1000}) {
    for (const int64_t n : {16, 72, 272}) {
      for (const int64_t k : {16, 144}) {
        for (const Epilogue epilogue : kEpilogues) {
          this->check(random, {{epilogue}, m, n, k, (m + n + k) % 3 == 0});
        }
      }
    }
  }
}

TYPED_TEST(CudaGemmTest, AddsABias) {
  BRAID_GPU_TEST();
  Random random(2);
  for (const Epilogue epilogue : kEpilogues) {
    for (const int64_t m : {1, 33}) {
      this->check(random, {{epilogue}, m, 160, 96, true});
      this->check(random, {{epilogue, 2}, m, 160, 96, true});
    }
  }
}

TYPED_TEST(CudaGemmTest, SumsOverSlots) {
  BRAID_GPU_TEST();
  Random random(3);
  for (const Epilogue epilogue : kEpilogues) {
    for (const int32_t slots : {2, 3}) {
      this->check(random, {{epilogue, slots}, 5, 208, 96 * slots});
      this->check(random, {{epilogue, slots}, 127, 48, 16 * slots, true, 3});
    }
  }
}

TYPED_TEST(CudaGemmTest, TakesViewsOfAnyAlignment) {
  BRAID_GPU_TEST();
  Random random(4);
  for (const Epilogue epilogue : kEpilogues) {
    for (const int64_t shift : {0, 1, 2, 8}) {
      for (const int64_t padding : {0, 1, 4, 16}) {
        this->check(random, {{epilogue}, 37, 80, 64, false, padding, shift});
      }
    }
  }
}

// A vocabulary's size is no multiple of anything.
TYPED_TEST(CudaGemmTest, OddWidths) {
  BRAID_GPU_TEST();
  Random random(5);
  for (const int64_t n : {1, 7, 50, 1001}) {
    this->check(random, {{}, 3, n, 48});
    if (n % 2 == 0) this->check(random, {{Epilogue::swiglu}, 3, n, 48, true});
  }
  this->check(random, {{}, 3, 64, 17});
}

TYPED_TEST(CudaGemmTest, Glm45AirSizes) {
  BRAID_GPU_TEST();
  Random random(6);
  this->check(random, {{Epilogue::swiglu}, 5, 2816, 4096});
  this->check(random, {{}, 8, 4096, 1408});
  this->check(random, {{Epilogue::none, 4}, 8, 4096, 1408});
}

TYPED_TEST(CudaGemmTest, ARowAloneIsBitwiseTheRowInABatch) {
  BRAID_GPU_TEST();
  Random random(7);
  const Blas blas;
  for (GemmDesc desc : {GemmDesc{}, GemmDesc{Epilogue::swiglu}, GemmDesc{Epilogue::none, 2}}) {
    desc.tuned_rows = 67;
    const Problem<typename TypeParam::X, typename TypeParam::Y> problem(
        random, {desc, 67, 192, 320, desc.k_slots == 1});
    const auto whole = problem.run(blas, desc, 0, 67);
    for (int64_t row = 0; row < 67; ++row) {
      const auto alone = problem.run(blas, desc, row, 1);
      ASSERT_TRUE(alone.same_row(0, whole, row)) << "row " << row;
    }
  }
}

// What is fused against the ops apart, by whichever kernels: bit for bit.
template <typename X, typename Y>
void check_fused(Random& random, const Case& c) {
  SCOPED_TRACE(testing::Message() << "m " << c.m << " n " << c.n << " k " << c.k << " k_slots "
                                  << c.desc.k_slots << " swiglu " << int(c.desc.epilogue));
  const Blas blas;
  const cudaStream_t stream = blas.queue().stream.stream;
  const Problem<X, Y> problem(random, c);
  const Grid<X> weight(random, 1, c.k);
  const Grid<Y> addend(random, c.m, c.y_cols());
  const DeviceGrid<X> weight_gpu(weight), normed(c.m, c.k);
  const DeviceGrid<Y> addend_gpu(addend), fused(c.m, c.y_cols()), apart(c.m, c.y_cols());
  const auto run = [&](const GemmShape& shape, const GemmOperands& operands) {
    const DeviceBytes scratch(static_cast<size_t>(gemm_scratch_bytes(c.desc, shape, c.m)));
    gemm(c.desc, shape, c.m, operands, scratch.as<void>(), blas.queue());
    gemm_test::synchronize();
  };
  GemmShape shape = problem.shape();
  GemmOperands operands = problem.operands(0, apart);
  rms_norm<X>({.eps = c.desc.norm_eps}, {.capacity = c.m}, c.k,
              {problem.x_gpu.data(), problem.x_gpu.stride()}, weight_gpu.data(),
              {normed.data(), normed.stride()}, stream);
  operands.x = normed.data();
  operands.x_stride = normed.stride();
  run(shape, operands);
  add<Y>({.capacity = c.m}, c.y_cols(), {apart.data(), apart.stride()},
         {addend_gpu.data(), addend_gpu.stride()}, {apart.data(), apart.stride()}, stream);

  shape.norm = shape.residual = true;
  operands = problem.operands(0, fused);
  operands.norm_weight = weight_gpu.data();
  operands.residual = addend_gpu.data();
  operands.residual_stride = addend_gpu.stride();
  run(shape, operands);
  Grid<Y> got(c.m, c.y_cols()), want(c.m, c.y_cols());
  fused.download(got);
  apart.download(want);
  for (int64_t r = 0; r < c.m; ++r) ASSERT_TRUE(got.same_row(r, want, r)) << "row " << r;
}

TYPED_TEST(CudaGemmTest, ANormAndAResidualHaveTheBitsOfOpsApart) {
  BRAID_GPU_TEST();
  struct Size {
    int64_t n, k;
    int32_t k_slots = 1;
  };
  Random random(14);
  for (const Epilogue epilogue : kEpilogues) {
    for (const int64_t m : {1, 7, 16, 48, 300}) {
      for (const Size& size :
           {Size{2048, 4096}, Size{144, 96}, Size{144, 96, 2}, Size{1000, 2048}, Size{50, 100}}) {
        const GemmDesc desc{.epilogue = epilogue, .k_slots = size.k_slots, .norm_eps = 1e-5f};
        check_fused<typename TypeParam::X, typename TypeParam::Y>(random,
                                                                  {desc, m, size.n, size.k, true});
      }
    }
  }
}

// Bitwise equality of the whole and of its parts, each with the whole's configuration.
void check_parts(Random& random, int64_t n, int64_t k, Epilogue epilogue, bool bias) {
  constexpr int64_t kRows = 4096;
  SCOPED_TRACE(testing::Message() << "n " << n << " k " << k << " swiglu " << int(epilogue));
  const Blas blas;
  const GemmDesc desc{epilogue, 1, kRows};
  const Problem<bf16, bf16> problem(random, {desc, kRows, n, k, bias});
  ASSERT_TRUE(prepare_gemm(desc, problem.shape(), kRows).ok());
  const Grid<bf16> whole = problem.run(blas, desc, 0, kRows);
  for (const int64_t parts : {1, 2, 3, 8}) {
    for (int64_t part = 0; part < parts; ++part) {
      const int64_t first = kRows * part / parts, end = kRows * (part + 1) / parts;
      ASSERT_TRUE(prepare_gemm(desc, problem.shape(), end - first).ok());
      const Grid<bf16> got = problem.run(blas, desc, first, end - first);
      for (int64_t r = 0; r < end - first; ++r) {
        ASSERT_TRUE(got.same_row(r, whole, first + r))
            << "row " << first + r << ", part " << part << " of " << parts;
      }
    }
  }
}

TEST(CudaGemmPartsTest, AreBitwiseTheWhole) {
  BRAID_GPU_TEST();
  Random random(8);
  check_parts(random, 4096, 1408, Epilogue::none, false);
  check_parts(random, 1408, 4096, Epilogue::none, true);
  check_parts(random, 2816, 1024, Epilogue::swiglu, false);
}

// A decode step's rows above 16: the same bits for any number of them and any bucket.
void check_decode_rows(Random& random, const Case& c) {
  SCOPED_TRACE(testing::Message() << "n " << c.n << " k " << c.k << " bias " << c.bias);
  const Blas blas;
  const Problem<bf16, bf16> problem(random, c);
  const Grid<bf16> whole = problem.run(blas, c.desc, 0, c.m);
  gemm_test::expect_near(whole, problem.on_the_cpu(), c.y_cols(), kBound<bf16>);
  for (const int32_t bucket : {17, 32, 64}) {
    GemmDesc desc = c.desc;
    desc.tuned_rows = bucket;
    for (const int64_t first : {0, 31, 63}) {
      for (const int64_t count : {int64_t{1}, std::min<int64_t>(c.m - first, bucket)}) {
        const Grid<bf16> part = problem.run(blas, desc, first, count);
        for (int64_t r = 0; r < count; ++r) {
          ASSERT_TRUE(part.same_row(r, whole, first + r))
              << "row " << first + r << " of " << count << " in a bucket of " << bucket;
        }
      }
    }
  }
}

TEST(CudaGemmPartsTest, DecodeBucketsShareOneArithmetic) {
  BRAID_GPU_TEST();
  Random random(13);
  const GemmDesc none{Epilogue::none, 1, 64}, swiglu{Epilogue::swiglu, 1, 64};
  check_decode_rows(random, {none, 64, 2048, 4096});
  check_decode_rows(random, {none, 64, 5120, 2048, true});
  check_decode_rows(random, {none, 64, 128, 4096});
  check_decode_rows(random, {none, 64, 576, 5120, true});
  check_decode_rows(random, {swiglu, 64, 2816, 4096});
}

TEST(CudaGemmPartsTest, FewerSmsChangeNoBit) {
  BRAID_GPU_TEST();
  Random random(9);
  const Blas blas;
  const GemmDesc desc{Epilogue::none, 1, 2048};
  const Problem<bf16, bf16> problem(random, {desc, 2048, 2048, 512});
  const Grid<bf16> all = problem.run(blas, desc, 0, 2048);
  for (const int32_t sms : {8, 66, 116}) {
    const Grid<bf16> few = problem.run(blas, desc, 0, 2048, sms);
    for (int64_t r = 0; r < 2048; ++r) ASSERT_TRUE(few.same_row(r, all, r)) << "row " << r;
  }
}

TEST(CudaGemmGraphTest, AKnownConfigurationIsCaptured) {
  BRAID_GPU_TEST();
  Random random(10);
  const Blas blas;
  const cudaStream_t stream = blas.queue().stream.stream;
  const GemmDesc desc{Epilogue::swiglu, 1, 40};
  const Problem<bf16, bf16> problem(random, {desc, 40, 512, 256, true});
  const Grid<bf16> want = problem.run(blas, desc, 0, 40);  // also loads the kernels
  const DeviceGrid<bf16> y_gpu(40, 256);
  const DeviceBytes scratch(static_cast<size_t>(gemm_scratch_bytes(desc, problem.shape(), 40)));
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t replay = nullptr;
  need(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
  gemm(desc, problem.shape(), 40, problem.operands(0, y_gpu), scratch.as<void>(), blas.queue());
  need(cudaStreamEndCapture(stream, &graph));
  need(cudaGraphInstantiate(&replay, graph, 0));
  need(cudaGraphLaunch(replay, stream));
  Grid<bf16> got(40, 256);
  y_gpu.download(got);
  for (int64_t r = 0; r < 40; ++r) ASSERT_TRUE(got.same_row(r, want, r)) << "row " << r;
  need(cudaGraphExecDestroy(replay));
  need(cudaGraphDestroy(graph));
}

TEST(CudaGemmConfigTest, IsChosenOnceAndNamed) {
  BRAID_GPU_TEST();
  const BlasKey key{.rows = 512, .n = 1024, .k = 768};
  const Result<const BlasConfig*> first = blas_config(key);
  ASSERT_TRUE(first.ok()) << first.error().to_string();
  EXPECT_EQ(*first, *blas_config(key));
  EXPECT_LE((*first)->workspace_bytes, kBlasWorkspaceBytes);
  const std::string text = *explain_gemm({Epilogue::none, 1, 512}, {1024, 768}, 512);
  EXPECT_EQ(text, "cuBLASLt " + to_string(**first));
  EXPECT_NE(text.find("tile "), std::string::npos) << text;
  EXPECT_NE(text.find("split-K"), std::string::npos) << text;
  EXPECT_NE(explain_gemm({Epilogue::swiglu, 1, 512}, {1024, 768}, 512)->find("elementwise"),
            std::string::npos);
}

TEST(GemmPartsOfKTest, FollowFromTheProductAlone) {
  const auto parts = [](int64_t n, int64_t k, int64_t rows) {
    const int64_t columns = (n + 15) / 16 * 16;
    return gemm_scratch_bytes({}, {n, k}, rows) / (rows * columns * 4);  // 0: none
  };
  for (const int64_t rows : {17, 32, 64, 128}) {
    EXPECT_EQ(parts(2048, 4096, rows), 4);
    EXPECT_EQ(parts(4096, 12288, rows), 2);
    EXPECT_EQ(parts(128, 4096, rows), 8);
    EXPECT_EQ(parts(128, 2048, rows), 4);
    EXPECT_EQ(parts(14336, 4096, rows), 0);
    EXPECT_EQ(parts(5120, 2048, rows), 0);
    EXPECT_EQ(parts(100, 4100, rows), 0);
    EXPECT_EQ(parts(5120, 16384, rows), 2);
    EXPECT_EQ(parts(8192, 29568, rows), 4);
  }
  EXPECT_EQ(parts(2048, 4096, 256), 2);
  EXPECT_EQ(parts(2048, 4096, 2048), 0);
  EXPECT_EQ(parts(8192, 29568, 512), 0);
}

TEST(GemmScratchTest, IsNeededForWhatCublasCantDo) {
  const auto bytes = [](const GemmDesc& desc, const GemmShape& shape) {
    return gemm_scratch_bytes(desc, shape, 10);
  };
  const GemmShape brains{100, 64}, floats{100, 64, Format::f32, Format::f32};
  const GemmShape mixed{100, 64, Format::bf16, Format::f32};
  EXPECT_EQ(bytes({}, brains), 0);
  EXPECT_EQ(bytes({}, floats), 0);
  EXPECT_EQ(bytes({}, mixed), 0);
  EXPECT_EQ(bytes({}, {100, 64, Format::bf16, Format::bf16, true}), 0);
  EXPECT_EQ(bytes({}, {100, 64, Format::bf16, Format::f32, true}), 10 * 112 * 4);
  EXPECT_EQ(bytes({Epilogue::swiglu}, brains), 10 * 112 * 2);
  EXPECT_EQ(bytes({Epilogue::swiglu}, mixed), 10 * 112 * 4);
  EXPECT_EQ(bytes({Epilogue::none, 2}, brains), 10 * 112 * 4);
  EXPECT_EQ(bytes({Epilogue::none, 2}, mixed), 0);  // summed in y itself
  EXPECT_EQ(bytes({Epilogue::none, 2}, {100, 64, Format::bf16, Format::f32, true}), 10 * 112 * 4);
}

TEST(GemmRefusalTest, NamesWhatIsNotImplemented) {
  EXPECT_TRUE(can_gemm({}, {64, 64}).ok());
  const Status formats = can_gemm({}, {64, 64, Format::f32, Format::bf16});
  ASSERT_FALSE(formats.ok());
  EXPECT_EQ(formats.error().kind(), ErrorKind::unsupported);
  EXPECT_NE(formats.to_string().find("f32"), std::string::npos) << formats.to_string();
  EXPECT_FALSE(can_gemm({}, {64, 64, Format::f16, Format::f16}).ok());
  EXPECT_FALSE(can_gemm({Epilogue::none, 3}, {64, 64}).ok());
  EXPECT_FALSE(can_gemm({Epilogue::swiglu}, {63, 64}).ok());
}

}  // namespace
}  // namespace braid::kernels::cuda
