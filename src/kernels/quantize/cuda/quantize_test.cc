#include "kernels/quantize/cuda/quantize.h"

#include <limits>

#include "kernels/cuda/test_support.h"
#include "kernels/quantize/cpu/quantize.h"

namespace braid::kernels::cuda {
namespace {

constexpr Payload kPayloads[] = {Payload::fp8, Payload::nvfp4};

template <typename T>
class CudaQuantizeTest : public testing::Test {};
using AllTypes = testing::Types<float, bf16>;
TYPED_TEST_SUITE(CudaQuantizeTest, AllTypes);

struct Shape {
  int64_t rows;
  int64_t cols;
  int64_t padding = 0;  // behind a row
  int64_t first_col = 0;
};

constexpr Shape kShapes[] = {{1, 7168},    {5, 2048, 16},  {127, 256, 8}, {3, 130},
                             {2, 4104, 3}, {4, 16, 8, 16}, {6, 37, 2},    {3, 9000},
                             {9, 1},       {5, 264, 0, 3}};

int64_t scale_bytes(Payload payload, int64_t cols) {
  return scale_columns(payload, cols) * bytes_per_scale(payload);
}

// Random rows with groups of very different sizes, zeros, and numbers that are none.
template <typename T>
Grid<T> rows_of(Random& random, const Shape& shape) {
  Grid<T> x(random, shape.rows, shape.first_col + shape.cols, shape.padding);
  for (int64_t r = 0; r < x.rows(); ++r) {
    for (int64_t c = 0; c < x.cols(); ++c) {
      const auto exponent = static_cast<int>((c / 16 * 7 + r) % 40) - 30;
      x.at(r, c) = from_float<T>(std::ldexp(to_float(x.at(r, c)), exponent));
      if (c % 53 == 7) x.at(r, c) = from_float<T>(0.0f);
    }
  }
  const float infinity = std::numeric_limits<float>::infinity();
  if (shape.rows > 4) x.at(3, shape.first_col) = from_float<T>(-infinity);
  if (shape.rows > 4) x.at(4, x.cols() - 1) = from_float<T>(std::nanf(""));
  return x;
}

// The GPU's bytes and errors, for rows [first, first + count) of x.
template <typename T>
struct OnGpu {
  OnGpu(Payload payload, const DeviceGrid<T>& x, int64_t first, int64_t count, const Shape& shape)
      : payloads(count, payload_columns(payload, shape.cols), shape.padding),
        scales(count, scale_bytes(payload, shape.cols), 4),
        errors(count, 2) {
    quantize_rows<T>({payload}, count, shape.cols, x.input(first, shape.first_col),
                     {payloads.matrix(), scales.matrix()}, errors.matrix(), nullptr);
  }
  DeviceGrid<uint8_t> payloads, scales;
  DeviceGrid<double> errors;
};

TYPED_TEST(CudaQuantizeTest, BothWaysEqualTheCpuBitForBit) {
  BRAID_NEEDS_GPU();
  Random random(1);
  for (const Payload payload : kPayloads) {
    for (const Shape& shape : kShapes) {
      SCOPED_TRACE(testing::Message() << shape.rows << " x " << shape.cols);
      const Grid<TypeParam> x = rows_of<TypeParam>(random, shape);
      Grid<uint8_t> payloads(shape.rows, payload_columns(payload, shape.cols));
      Grid<uint8_t> scales(shape.rows, scale_bytes(payload, shape.cols));
      Grid<double> errors(shape.rows, 2);
      cpu::quantize_rows<TypeParam>({payload}, shape.rows, shape.cols,
                                    on_cpu(x, 0, shape.first_col),
                                    {payloads.matrix(), scales.matrix()}, errors.matrix());
      const DeviceGrid<TypeParam> device_x(x);
      const OnGpu<TypeParam> gpu(payload, device_x, 0, shape.rows, shape);
      Grid<uint8_t> got = gpu.payloads.fetch();
      expect_same(got, payloads, shape.rows);
      got = gpu.scales.fetch();
      expect_same(got, scales, shape.rows);
      const Grid<double> sums = gpu.errors.fetch();
      for (int64_t r = 0; r < shape.rows; ++r) {
        for (int64_t c = 0; c < 2; ++c) {
          const double want = errors.matrix().row(r)[c], found = sums.input().row(r)[c];
          if (std::isnan(want)) {
            EXPECT_TRUE(std::isnan(found));
          } else if (std::isinf(want)) {
            EXPECT_EQ(found, want) << "row " << r;
          } else {
            EXPECT_NEAR(found, want, 1e-12 * want) << "row " << r;
          }
        }
      }
      Grid<TypeParam> back(shape.rows, shape.cols);
      cpu::dequantize_rows<TypeParam>({payload}, shape.rows, shape.cols,
                                      {on_cpu(payloads), on_cpu(scales)}, back.matrix());
      const DeviceGrid<TypeParam> out(shape.rows, shape.cols, shape.padding);
      dequantize_rows<TypeParam>({payload}, shape.rows, shape.cols,
                                 {gpu.payloads.input(), gpu.scales.input()}, out.matrix(), nullptr);
      const Grid<TypeParam> found = out.fetch();
      for (int64_t r = 0; r < shape.rows; ++r) {
        for (int64_t c = 0; c < shape.cols; ++c) {
          const double want = back.value(r, c);
          if (std::isnan(want)) {
            ASSERT_TRUE(std::isnan(found.value(r, c)));
          } else {
            ASSERT_EQ(found.value(r, c), want) << "row " << r << " column " << c;
          }
        }
      }
    }
  }
}

TYPED_TEST(CudaQuantizeTest, IsRowInvariant) {
  BRAID_NEEDS_GPU();
  Random random(2);
  for (const Payload payload : kPayloads) {
    const Shape shape{67, 200};
    const DeviceGrid<TypeParam> x(Grid<TypeParam>(random, 67, 200));
    const OnGpu<TypeParam> whole(payload, x, 0, 67, shape);
    const Grid<uint8_t> payloads = whole.payloads.fetch(), scales = whole.scales.fetch();
    const Grid<double> errors = whole.errors.fetch();
    for (int64_t first = 0; first < 67; ++first) {
      const int64_t count = 1 + first * 5 % (67 - first);
      const OnGpu<TypeParam> part(payload, x, first, count, shape);
      for (int64_t r = 0; r < count; ++r) {
        ASSERT_TRUE(part.payloads.fetch().same_row(r, payloads, first + r));
        ASSERT_TRUE(part.scales.fetch().same_row(r, scales, first + r));
        ASSERT_TRUE(part.errors.fetch().same_row(r, errors, first + r));
      }
    }
    expect_row_invariant<TypeParam>(67, 200, [&](int64_t first, int64_t count, auto out) {
      dequantize_rows<TypeParam>({payload}, count, 200,
                                 {whole.payloads.input(first), whole.scales.input(first)}, out,
                                 nullptr);
    });
  }
}

TEST(CudaSumErrorsTest, RowsOfPaddingDontCountAndRunsAgree) {
  BRAID_NEEDS_GPU();
  Random random(3);
  for (const int64_t rows : {0, 1, 5, 127, 1000}) {
    Grid<double> errors(rows, 2);
    Grid<int32_t> ids(rows, 4);
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < 2; ++c) errors.at(r, c) = 1.0 + cpu::random_value<float>(random);
      for (int64_t c = 0; c < 4; ++c) ids.at(r, c) = r % 3 == 1 ? -1 : static_cast<int32_t>(r);
    }
    std::vector<double> want = {0.25, 8};
    const DeviceArray<double> sums(want), again(want);
    cpu::sum_errors(rows, {errors.input().data, 2}, {ids.input().data, 4}, want.data());
    const DeviceGrid<double> device_errors(errors);
    const DeviceGrid<int32_t> device_ids(ids);
    for (const DeviceArray<double>* to : {&sums, &again}) {
      sum_errors(rows, device_errors.input(), device_ids.input(), to->data(), nullptr);
    }
    EXPECT_NEAR(sums.fetch()[0], want[0], 1e-12 * want[0]);
    EXPECT_NEAR(sums.fetch()[1], want[1], 1e-12 * want[1]);
    EXPECT_EQ(sums.fetch(), again.fetch());
  }
}

}  // namespace
}  // namespace braid::kernels::cuda
