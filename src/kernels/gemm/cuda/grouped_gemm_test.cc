#include "kernels/gemm/cuda/grouped_gemm.h"

#include <numeric>

#include "kernels/gemm/cpu/gemm.h"
#include "kernels/gemm/cuda/test_support.h"

namespace braid::kernels::cuda {
namespace {

using gemm_test::DeviceBytes;
using gemm_test::DeviceGrid;
using gemm_test::Grid;
using gemm_test::kBound;
using gemm_test::Random;

template <typename T>
constexpr Format kFormat = std::is_same_v<T, float> ? Format::f32 : Format::bf16;

// Rows that select each tile when the op is tuned for so many a slot.
constexpr int32_t kTunedRowsPerSlot[] = {1, 20, 100};

struct Case {
  std::vector<int32_t> rows;  // of each slot
  int64_t n = 0;
  int64_t k = 0;
  Epilogue epilogue = Epilogue::none;
  bool gather = false;
  int64_t x_padding = 0;  // columns behind x's and y's
  int64_t y_padding = 0;
  int64_t shift = 0;  // elements that x and y stand behind an aligned address
  int64_t spare = 0;  // capacity of y above the grouped rows

  int32_t slots() const { return static_cast<int32_t>(rows.size()); }
  int32_t total() const { return std::accumulate(rows.begin(), rows.end(), 0); }
  int64_t y_cols() const { return epilogue == Epilogue::swiglu ? n / 2 : n; }
  std::vector<int32_t> offsets() const {
    std::vector<int32_t> out = {0};
    for (const int32_t count : rows) out.push_back(out.back() + count);
    return out;
  }
};

// x of 50 rows or as many as are grouped, and which of them each grouped row takes.
std::vector<int32_t> random_source(Random& random, const Case& c, int64_t x_rows) {
  std::vector<int32_t> source(static_cast<size_t>(c.total()));
  for (int32_t& row : source) row = static_cast<int32_t>(cpu::random_below(random, x_rows));
  return source;
}

// Runs the case with the tile of every size and compares with the CPU.
template <typename Y>
void check(Random& random, const Case& c) {
  SCOPED_TRACE(testing::Message() << c.total() << " rows in " << c.slots() << " slots, n " << c.n
                                  << " k " << c.k << " swiglu " << int(c.epilogue) << " gather "
                                  << c.gather << " shift " << c.shift);
  const int64_t x_rows = c.gather ? 50 : c.total();
  const Grid<bf16> x(random, x_rows, c.k, c.x_padding);
  const Grid<bf16> w(random, c.slots() * c.n, c.k);
  const std::vector<int32_t> offsets = c.offsets();
  const std::vector<int32_t> source = random_source(random, c, x_rows);
  Grid<Y> want(c.total(), c.y_cols(), c.y_padding);
  cpu::grouped_gemm<bf16, bf16, Y>({c.epilogue, c.slots()}, c.n, c.k, x.input(),
                                   c.gather ? source.data() : nullptr, offsets.data(), w.input(),
                                   want.matrix());
  const DeviceGrid<bf16> x_gpu(x, c.shift), w_gpu(w);
  const DeviceBytes source_gpu(source), offsets_gpu(offsets);
  for (const int32_t tuned : kTunedRowsPerSlot) {
    const GroupedGemmDesc desc{c.epilogue, c.slots(), tuned * c.slots()};
    const GroupedGemmShape shape{c.n, c.k, Format::bf16, kFormat<Y>};
    SCOPED_TRACE(explain_grouped_gemm(desc, shape));
    ASSERT_TRUE(can_grouped_gemm(desc, shape).ok());
    Grid<Y> got(c.total() + c.spare, c.y_cols(), c.y_padding);
    const DeviceGrid<Y> y_gpu(got.rows(), got.input().stride, c.shift);
    grouped_gemm(
        desc, shape, got.rows(),
        {x_gpu.data(), x_gpu.stride(), c.gather ? source_gpu.as<int32_t>() : nullptr,
         offsets_gpu.as<int32_t>(), w_gpu.data(), w_gpu.stride(), y_gpu.data(), y_gpu.stride()},
        nullptr);
    y_gpu.download(got);
    gemm_test::expect_near(got, want, c.y_cols(), kBound<Y>);
    gemm_test::expect_poison(got, c.total(), c.y_cols());
    if (testing::Test::HasFatalFailure()) return;
  }
}

TEST(CudaGroupedGemmTest, EqualsTheCpuOnAwkwardSizes) {
  BRAID_GPU_TEST();
  Random random(1);
  const std::vector<std::vector<int32_t>> groups = {
      {1}, {0, 5, 0}, {3, 0, 0, 5}, {60, 0, 3, 1, 63}, {500, 0, 7, 128, 65, 0, 300}};
  for (const std::vector<int32_t>& rows : groups) {
    for (const int64_t n : {8, 16, 48, 272}) {
      for (const int64_t k : {16, 64, 144}) {
        const bool gather = (n + k) % 3 != 0;
        check<bf16>(random, {rows, n, k, Epilogue::none, gather});
        check<bf16>(random, {rows, n, k, Epilogue::swiglu, !gather});
      }
    }
  }
}

TEST(CudaGroupedGemmTest, LongSumsAndManyTiles) {
  BRAID_GPU_TEST();
  Random random(2);
  check<bf16>(random, {{130, 0, 257, 40}, 560, 1040, Epilogue::swiglu, true});
  check<bf16>(random, {{130, 0, 257, 40}, 560, 1040, Epilogue::none, false});
}

TEST(CudaGroupedGemmTest, GivesFloat32) {
  BRAID_GPU_TEST();
  Random random(3);
  for (const int64_t n : {16, 40, 272}) {
    check<float>(random, {{9, 0, 70, 1}, n, 208, Epilogue::none, true});
    check<float>(random, {{9, 0, 70, 1}, n, 208, Epilogue::swiglu, false});
  }
}

TEST(CudaGroupedGemmTest, TakesViewsOfAnyAlignmentAndWritesNoMoreThanItsRows) {
  BRAID_GPU_TEST();
  Random random(4);
  for (const Epilogue epilogue : {Epilogue::none, Epilogue::swiglu}) {
    for (const int64_t shift : {0, 1, 2, 8}) {
      for (const int64_t padding : {0, 3, 8}) {
        check<bf16>(random, {.rows = {5, 0, 80, 2},
                             .n = 48,
                             .k = 80,
                             .epilogue = epilogue,
                             .gather = shift != 2,
                             .x_padding = padding,
                             .y_padding = 11 - padding,
                             .shift = shift,
                             .spare = 30});
      }
    }
  }
  check<float>(random, {.rows = {5, 0, 80, 2}, .n = 24, .k = 72, .y_padding = 1, .shift = 1});
}

// Widths of N that are no multiple of 8 end in parts of a piece.
TEST(CudaGroupedGemmTest, OddWidths) {
  BRAID_GPU_TEST();
  Random random(5);
  for (const int64_t n : {2, 6, 34, 70, 262}) {
    check<bf16>(random, {{5, 0, 80, 2}, n, 40, Epilogue::swiglu, true});
    check<bf16>(random, {{5, 0, 80, 2}, n, 40, Epilogue::none, false});
  }
}

TEST(CudaGroupedGemmTest, NoRowsAtAll) {
  BRAID_GPU_TEST();
  Random random(6);
  check<bf16>(random, {.rows = {0, 0, 0}, .n = 32, .k = 32, .gather = true, .spare = 8});
}

TEST(CudaGroupedGemmTest, AsManySlotsAsFit) {
  BRAID_GPU_TEST();
  Random random(7);
  std::vector<int32_t> rows(1024, 0);
  rows[0] = 3;
  rows[511] = 1;
  rows[1023] = 2;
  check<bf16>(random, {.rows = rows, .n = 16, .k = 16, .gather = true});
}

// One layer of GLM-4.5-Air, with the weights of the slots that have rows; all others are NaN.
void check_glm(Random& random, const std::vector<std::pair<int32_t, int32_t>>& slot_rows, int64_t n,
               int64_t k, Epilogue epilogue) {
  constexpr int32_t kSlots = 128, kTokens = 6;
  std::vector<int32_t> offsets(kSlots + 1, 0), source;
  const DeviceBytes w_gpu(static_cast<size_t>(kSlots * n * k) * sizeof(bf16));
  const Grid<bf16> x(random, kTokens, k);
  int32_t total = 0;
  for (const auto& [slot, rows] : slot_rows) total += rows;
  const int64_t cols = epilogue == Epilogue::swiglu ? n / 2 : n;
  Grid<bf16> want(total, cols), got(total, cols);
  for (const auto& [slot, rows] : slot_rows) {
    const Grid<bf16> w(random, n, k);
    w_gpu.upload(w.input().data, static_cast<size_t>(slot * n * k) * sizeof(bf16),
                 static_cast<size_t>(n * k) * sizeof(bf16));
    const int32_t begin = static_cast<int32_t>(source.size());
    for (int32_t i = 0; i < rows; ++i) source.push_back((begin * 5 + i) % kTokens);
    for (int32_t later = slot; later < kSlots; ++later) offsets[later + 1] += rows;
    const int32_t own[] = {0, rows};
    cpu::grouped_gemm<bf16, bf16, bf16>({epilogue, 1}, n, k, x.input(), source.data() + begin, own,
                                        w.input(), want.matrix(begin));
  }
  const DeviceGrid<bf16> x_gpu(x), y_gpu(total, cols);
  const DeviceBytes source_gpu(source), offsets_gpu(offsets);
  for (const int32_t tuned : kTunedRowsPerSlot) {
    const GroupedGemmDesc desc{epilogue, kSlots, tuned * kSlots};
    SCOPED_TRACE(explain_grouped_gemm(desc, {n, k}));
    grouped_gemm(desc, {n, k}, total,
                 {x_gpu.data(), k, source_gpu.as<int32_t>(), offsets_gpu.as<int32_t>(),
                  w_gpu.as<bf16>(), k, y_gpu.data(), cols},
                 nullptr);
    y_gpu.download(got);
    gemm_test::expect_near(got, want, cols, kBound<bf16>);
  }
}

TEST(CudaGroupedGemmTest, Glm45AirUp) {
  BRAID_GPU_TEST();
  Random random(8);
  check_glm(random, {{0, 1}, {77, 4}, {127, 3}}, 2 * 1408, 4096, Epilogue::swiglu);
}

TEST(CudaGroupedGemmTest, Glm45AirDown) {
  BRAID_GPU_TEST();
  Random random(9);
  check_glm(random, {{3, 2}, {64, 1}, {127, 5}}, 4096, 1408, Epilogue::none);
}

// Operands of a fixed problem on the GPU, for runs that are compared with one another.
class Fixture {
 public:
  static constexpr int64_t kN = 272, kK = 208, kXRows = 67;
  static constexpr int32_t kSlots = 4;

  explicit Fixture(Random& random)
      : x_(Grid<bf16>(random, kXRows, kK)), w_(Grid<bf16>(random, kSlots * kN, kK)) {}

  // Rows source[·] of x, grouped by `rows` of each slot.
  Grid<bf16> run(const std::vector<int32_t>& rows, const std::vector<int32_t>& source,
                 Epilogue epilogue, int32_t tuned, int32_t sm_count = 0) const {
    const Case c{.rows = rows, .n = kN, .k = kK, .epilogue = epilogue};
    const DeviceBytes source_gpu(source), offsets_gpu(c.offsets());
    Grid<bf16> y(c.total(), c.y_cols());
    const DeviceGrid<bf16> y_gpu(c.total(), c.y_cols());
    grouped_gemm({epilogue, kSlots, tuned * kSlots}, {kN, kK}, c.total(),
                 {x_.data(), kK, source_gpu.as<int32_t>(), offsets_gpu.as<int32_t>(), w_.data(), kK,
                  y_gpu.data(), c.y_cols()},
                 nullptr, sm_count);
    y_gpu.download(y);
    return y;
  }

 private:
  DeviceGrid<bf16> x_;
  DeviceGrid<bf16> w_;
};

TEST(CudaGroupedGemmTest, ARowAloneIsBitwiseTheRowInABatch) {
  BRAID_GPU_TEST();
  Random random(10);
  const Fixture fixture(random);
  std::vector<int32_t> all(Fixture::kXRows);
  std::iota(all.begin(), all.end(), 0);
  for (const int32_t tuned : kTunedRowsPerSlot) {
    for (const Epilogue epilogue : {Epilogue::none, Epilogue::swiglu}) {
      const Grid<bf16> whole = fixture.run({0, Fixture::kXRows, 0, 0}, all, epilogue, tuned);
      for (int32_t row = 0; row < Fixture::kXRows; ++row) {
        const Grid<bf16> alone = fixture.run({0, 1, 0, 0}, {row}, epilogue, tuned);
        ASSERT_TRUE(alone.same_row(0, whole, row)) << "row " << row << " tuned " << tuned;
      }
      // Behind 30 rows of another slot, and at another place among its own.
      std::vector<int32_t> moved(30, 7);
      for (int32_t row = Fixture::kXRows - 1; row >= 0; --row) moved.push_back(row);
      const Grid<bf16> other = fixture.run({30, Fixture::kXRows, 0, 0}, moved, epilogue, tuned);
      for (int32_t row = 0; row < Fixture::kXRows; ++row) {
        ASSERT_TRUE(other.same_row(30 + Fixture::kXRows - 1 - row, whole, row)) << "row " << row;
      }
    }
  }
}

TEST(CudaGroupedGemmTest, FewerSmsChangeNoBit) {
  BRAID_GPU_TEST();
  Random random(11);
  const Fixture fixture(random);
  const std::vector<int32_t> rows = {40, 0, 200, 17}, source = [&] {
    std::vector<int32_t> out(257);
    for (int32_t& row : out) row = static_cast<int32_t>(cpu::random_below(random, 67));
    return out;
  }();
  for (const int32_t tuned : kTunedRowsPerSlot) {
    const Grid<bf16> all = fixture.run(rows, source, Epilogue::swiglu, tuned);
    for (const int32_t sms : {1, 3, 20}) {
      const Grid<bf16> few = fixture.run(rows, source, Epilogue::swiglu, tuned, sms);
      for (int64_t r = 0; r < all.rows(); ++r) ASSERT_TRUE(few.same_row(r, all, r)) << "row " << r;
    }
  }
}

// A captured launch reads the offsets of its replay: its geometry followed from capacities.
TEST(CudaGroupedGemmTest, ACapturedLaunchFollowsTheOffsets) {
  BRAID_GPU_TEST();
  Random random(12);
  constexpr int64_t kN = 96, kK = 80;
  constexpr int32_t kSlots = 5, kRows = 150;
  const Grid<bf16> x(random, kRows, kK), w(random, kSlots * kN, kK);
  const DeviceGrid<bf16> x_gpu(x), w_gpu(w), y_gpu(kRows, kN);
  const DeviceBytes offsets_gpu((kSlots + 1) * sizeof(int32_t));
  const GroupedGemmDesc desc{Epilogue::none, kSlots, kRows};
  cudaStream_t stream = nullptr;
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t replay = nullptr;
  gemm_test::need(cudaStreamCreate(&stream));
  const auto launch = [&] {
    grouped_gemm(
        desc, {kN, kK}, kRows,
        {x_gpu.data(), kK, nullptr, offsets_gpu.as<int32_t>(), w_gpu.data(), kK, y_gpu.data(), kN},
        stream);
  };
  launch();  // loads the kernel; offsets of −1 are slots without rows
  gemm_test::synchronize();
  gemm_test::need(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
  launch();
  gemm_test::need(cudaStreamEndCapture(stream, &graph));
  gemm_test::need(cudaGraphInstantiate(&replay, graph, 0));
  for (const std::vector<int32_t>& rows :
       {std::vector<int32_t>{0, 0, 150, 0, 0}, std::vector<int32_t>{1, 2, 3, 4, 140},
        std::vector<int32_t>{70, 0, 0, 1, 79}}) {
    const Case c{.rows = rows};
    const std::vector<int32_t> offsets = c.offsets();
    offsets_gpu.upload(offsets.data(), 0, offsets.size() * sizeof(int32_t));
    Grid<bf16> want(kRows, kN), got(kRows, kN);
    cpu::grouped_gemm<bf16, bf16, bf16>(desc, kN, kK, x.input(), nullptr, offsets.data(), w.input(),
                                        want.matrix());
    gemm_test::need(cudaGraphLaunch(replay, stream));
    y_gpu.download(got);
    gemm_test::expect_near(got, want, kN, kBound<bf16>);
  }
  gemm_test::need(cudaGraphExecDestroy(replay));
  gemm_test::need(cudaGraphDestroy(graph));
  gemm_test::need(cudaStreamDestroy(stream));
}

TEST(GroupedGemmTileTest, FollowsTheRowsThatASlotHasOnAverage) {
  const auto tile = [](int32_t tuned, int32_t slots) {
    return choose_tile({Epilogue::none, slots, tuned});
  };
  EXPECT_EQ(tile(8, 128), kTile64x64);
  EXPECT_EQ(tile(8 * 128, 128), kTile64x64);
  EXPECT_EQ(tile(8 * 128 + 1, 128), kTile64x128);
  EXPECT_EQ(tile(48 * 128, 128), kTile64x128);
  EXPECT_EQ(tile(131072, 128), kTile128x256);
  EXPECT_EQ(tile(2, 8), kTile64x64);
  EXPECT_EQ(tile(0, 0), kTile64x64);
}

TEST(GroupedGemmTileTest, IsNamed) {
  EXPECT_EQ(explain_grouped_gemm({Epilogue::none, 8, 8000}, {16, 64}),
            "sm90 grouped GEMM, tile 128x256x64, 4 stages, 1 blocks an SM");
}

TEST(GroupedGemmRefusalTest, NamesWhatIsNotImplemented) {
  const auto refusal = [](const GroupedGemmDesc& desc, const GroupedGemmShape& shape) {
    const Status status = can_grouped_gemm(desc, shape);
    return status.ok() ? "" : status.error().message();
  };
  EXPECT_EQ(refusal({Epilogue::swiglu, 128, 8}, {2816, 4096}), "");
  EXPECT_EQ(refusal({Epilogue::none, 128, 8}, {2816, 4096, Format::bf16, Format::f32}), "");
  EXPECT_NE(refusal({Epilogue::none, 8, 8}, {16, 16, Format::f32, Format::f32}), "");
  EXPECT_NE(refusal({Epilogue::none, 8, 8}, {16, 16, Format::bf16, Format::f16}), "");
  EXPECT_NE(refusal({Epilogue::none, 1025, 8}, {16, 16}), "");
  EXPECT_NE(refusal({Epilogue::none, 8, 8}, {16, 12}), "");
  EXPECT_NE(refusal({Epilogue::none, 8, 8}, {16, 0}), "");
  EXPECT_NE(refusal({Epilogue::swiglu, 8, 8}, {15, 16}), "");
  EXPECT_NE(refusal({Epilogue::none, 1000, 8}, {3000000, 16}), "");
}

}  // namespace
}  // namespace braid::kernels::cuda
