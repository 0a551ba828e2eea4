#include "kernels/quantize/cpu/quantize.h"

#include <limits>

#include "base/minifloat.h"
#include "kernels/cpu/test_support.h"

namespace braid::kernels::cpu {
namespace {

constexpr Payload kPayloads[] = {Payload::fp8, Payload::nvfp4};

// Payload and scales of some rows, with bytes behind each row that must survive.
struct Bytes {
  Bytes(Payload payload, int64_t rows, int64_t cols)
      : payload_cols(payload_columns(payload, cols)),
        scale_bytes(scale_columns(payload, cols) * bytes_per_scale(payload)),
        payloads(static_cast<size_t>(rows * (payload_cols + 3)), 0x60),
        scales(static_cast<size_t>(rows * (scale_bytes + 4)), 0x60) {}

  QuantizedRows<uint8_t> matrices(int64_t first = 0) {
    return {{payloads.data() + first * (payload_cols + 3), payload_cols + 3},
            {scales.data() + first * (scale_bytes + 4), scale_bytes + 4}};
  }
  QuantizedRows<const uint8_t> input(int64_t first = 0) {
    const auto m = matrices(first);
    return {{m.payload.data, m.payload.stride}, {m.scales.data, m.scales.stride}};
  }
  // Payload, then scales, of one row.
  std::vector<uint8_t> row(int64_t index) {
    const auto m = matrices(index);
    std::vector<uint8_t> bytes(m.payload.data, m.payload.data + payload_cols);
    bytes.insert(bytes.end(), m.scales.data, m.scales.data + scale_bytes);
    return bytes;
  }
  void expect_padding_kept(int64_t rows) {
    for (int64_t r = 0; r < rows; ++r) {
      const auto m = matrices(r);
      for (int64_t i = 0; i < 3; ++i) ASSERT_EQ(m.payload.data[payload_cols + i], 0x60);
      for (int64_t i = 0; i < 4; ++i) ASSERT_EQ(m.scales.data[scale_bytes + i], 0x60);
    }
  }

  int64_t payload_cols;
  int64_t scale_bytes;
  std::vector<uint8_t> payloads;
  std::vector<uint8_t> scales;
};

// The positive code whose value is nearest to `value`, of two equally near ones the even one.
template <typename Decode>
uint8_t nearest(double value, int codes, Decode decode) {
  int best = 0;
  for (int code = 1; code < codes; ++code) {
    const double now = std::abs(static_cast<double>(decode(static_cast<uint8_t>(code))) - value);
    const double before = std::abs(static_cast<double>(decode(static_cast<uint8_t>(best))) - value);
    if (now < before || (now == before && code % 2 == 0)) best = code;
  }
  return static_cast<uint8_t>(best);
}

// The smallest power of two by which the largest magnitude fits into nvfp4's range; of fp8 1.
float row_scale(Payload payload, float most) {
  if (payload == Payload::fp8) return 1;
  int power = -126;
  while (std::ldexp(2688.0, power) < static_cast<double>(most)) ++power;
  return std::ldexp(1.0f, power);
}

// What is to come back of one group of finite elements.
std::vector<double> reference(Payload payload, const std::vector<float>& group, float of_row) {
  float most = 0;
  for (const float value : group) most = std::max(most, std::abs(value));
  const bool fp8 = payload == Payload::fp8;
  float scale = std::max(most / 448.0f, std::numeric_limits<float>::min());
  if (!fp8) {
    const uint8_t code = nearest(static_cast<double>(most / of_row / 6.0f), 127, e4m3_to_float);
    scale = e4m3_to_float(std::max<uint8_t>(code, 1)) * of_row;
  }
  std::vector<double> back;
  for (const float value : group) {
    const auto size = static_cast<double>(std::abs(value) / scale);
    const float element = fp8 ? e4m3_to_float(nearest(size, 127, e4m3_to_float))
                              : e2m1_to_float(nearest(size, 8, e2m1_to_float));
    back.push_back(static_cast<double>(std::copysign(element * scale, value)));
  }
  return back;
}

template <typename T>
class QuantizeTest : public testing::Test {
 protected:
  // There and back; `errors` may be null.
  static Grid<T> through(Payload payload, const Grid<T>& x, std::vector<double>* errors = nullptr) {
    Bytes bytes(payload, x.rows(), x.cols());
    Grid<double> sums(x.rows(), 2);
    quantize_rows<T>({payload}, x.rows(), x.cols(), x.input(), bytes.matrices(),
                     {sums.matrix().data, sums.matrix().stride});
    bytes.expect_padding_kept(x.rows());
    Grid<T> out(x.rows(), x.cols(), 1);
    dequantize_rows<T>({payload}, x.rows(), x.cols(), bytes.input(), out.matrix());
    out.expect_padding_kept();
    for (int64_t r = 0; errors != nullptr && r < x.rows(); ++r) {
      errors->push_back(sums.at(r, 0));
      errors->push_back(sums.at(r, 1));
    }
    return out;
  }

  static Grid<T> row_of(const std::vector<float>& values) {
    Grid<T> x(1, std::ssize(values));
    for (int64_t c = 0; c < x.cols(); ++c) {
      x.at(0, c) = from_float<T>(values[static_cast<size_t>(c)]);
    }
    return x;
  }
};
using AllTypes = testing::Types<float, bf16>;
TYPED_TEST_SUITE(QuantizeTest, AllTypes);

// Sizes with whole groups, a last group with fewer columns, and an odd number of columns.
TYPED_TEST(QuantizeTest, EqualsASearchInTheTablesOfCodes) {
  Random random(1);
  for (const Payload payload : kPayloads) {
    for (const int64_t cols : {1, 15, 16, 17, 128, 129, 300}) {
      Grid<TypeParam> x(random, 5, cols, 2);
      for (int64_t c = 0; c < cols; ++c) {  // groups of different sizes
        const float scale = std::ldexp(1.0f, static_cast<int>(c / 16) - 6);
        x.at(1, c) = from_float<TypeParam>(to_float(x.at(1, c)) * scale);
        x.at(2, c) = from_float<TypeParam>(0.0f);
      }
      const Grid<TypeParam> out = this->through(payload, x);
      for (int64_t r = 0; r < 5; ++r) {
        float most = 0;
        for (int64_t c = 0; c < cols; ++c) {
          most = std::max(most, static_cast<float>(std::abs(x.value(r, c))));
        }
        const float of_row = row_scale(payload, most);
        for (int64_t first = 0; first < cols; first += group_columns(payload)) {
          std::vector<float> group;
          for (int64_t c = first; c < std::min(cols, first + group_columns(payload)); ++c) {
            group.push_back(static_cast<float>(x.value(r, c)));
          }
          const std::vector<double> want = reference(payload, group, of_row);
          for (size_t i = 0; i < group.size(); ++i) {
            const float rounded = to_float(from_float<TypeParam>(static_cast<float>(want[i])));
            ASSERT_EQ(out.value(r, first + static_cast<int64_t>(i)), static_cast<double>(rounded))
                << cols << " columns, row " << r << ", column " << first << " + " << i;
          }
        }
      }
    }
  }
}

// A group with every code's value, times a scale that is exact, comes back as it was.
TYPED_TEST(QuantizeTest, EveryCodeComesBack) {
  std::vector<float> fp8, nvfp4;
  for (int code = 0; code < 128; ++code) {  // 0x7f is NaN
    fp8.push_back(code == 127 ? 0.0f : 0.25f * e4m3_to_float(static_cast<uint8_t>(code)));
  }
  for (int code = 0; code < 128; ++code) fp8.push_back(-fp8[static_cast<size_t>(code)]);
  for (int code = 0; code < 16; ++code) {
    nvfp4.push_back(0.75f * e2m1_to_float(static_cast<uint8_t>(code)));
  }
  for (const auto& [payload, values] : {std::pair{Payload::fp8, fp8}, {Payload::nvfp4, nvfp4}}) {
    const Grid<TypeParam> x = this->row_of(values);
    EXPECT_TRUE(this->through(payload, x).same_row(0, x, 0));  // the signs of zeros, too
  }
}

TYPED_TEST(QuantizeTest, WhatIsNotFiniteBecomesNaN) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float bad : {infinity, -infinity, std::nanf("")}) {
    std::vector<float> values(256, 1.0f);
    values[5] = bad;
    for (const Payload payload : kPayloads) {
      const Grid<TypeParam> out = this->through(payload, this->row_of(values));
      const bool fp8 = payload == Payload::fp8;
      for (int64_t c = 0; c < 256; ++c) {
        EXPECT_EQ(std::isnan(out.value(0, c)), fp8 ? c == 5 : c < 16) << c;
      }
    }
  }
}

TYPED_TEST(QuantizeTest, ZerosAndTinyGroupsAreNotDividedByZero) {
  for (const Payload payload : kPayloads) {
    for (const float tiny : {0.0f, -0.0f, 0x1p-149f, 0x1p-140f, -0x1p-130f}) {
      const Grid<TypeParam> out =
          this->through(payload, this->row_of(std::vector<float>(16, tiny)));
      for (int64_t c = 0; c < 16; ++c) EXPECT_LE(std::abs(out.value(0, c)), 0x1p-130);
    }
  }
}

// The largest group of a row is of order 1: below the smallest subnormal scale · 6, elements of its
// other groups still are multiples of that scale's halves.
TYPED_TEST(QuantizeTest, TinyGroupsBesideLargeOnes) {
  std::vector<float> values(22, 0.0f);
  values[16] = 0x1p11f;  // so that the row's scale is 1
  const float small[] = {0x1p-10f, -0x1p-9f, 0x1p-11f, 0x1.8p-10f, 0.0f, 0x1p-12f};
  std::copy_n(small, 6, values.begin());
  const Grid<TypeParam> out = this->through(Payload::nvfp4, this->row_of(values));
  const double want[] = {0x1p-10, -0x1p-9, 0.0, 0x1p-9, 0.0, 0.0};
  for (int64_t c = 0; c < 6; ++c) EXPECT_EQ(out.value(0, c), want[c]) << c;
}

// The error of a row is the same whatever its norm: scaled by a power of two, even its bits are.
TYPED_TEST(QuantizeTest, TheErrorOfARowDoesNotDependOnItsNorm) {
  Random random(9);
  for (const Payload payload : kPayloads) {
    Grid<TypeParam> x(random, 1, 4096);
    std::vector<double> errors;
    const Grid<TypeParam> back = this->through(payload, x, &errors);
    const double relative = std::sqrt(errors[0] / errors[1]);
    for (const int power : {-100, -20, -7, 5, 20, 100}) {
      Grid<TypeParam> scaled(1, 4096);
      for (int64_t c = 0; c < 4096; ++c) {
        scaled.at(0, c) = from_float<TypeParam>(std::ldexp(to_float(x.at(0, c)), power));
      }
      const Grid<TypeParam> out = this->through(payload, scaled);
      for (int64_t c = 0; c < 4096; ++c) {
        ASSERT_EQ(out.value(0, c), std::ldexp(back.value(0, c), power)) << power;
      }
    }
    for (const float norm : {1e-6f, 1e-3f, 0.1f, 1e2f, 1e6f}) {
      Grid<TypeParam> scaled(1, 4096);
      for (int64_t c = 0; c < 4096; ++c) {
        scaled.at(0, c) = from_float<TypeParam>(to_float(x.at(0, c)) * norm / 37);
      }
      errors.clear();
      this->through(payload, scaled, &errors);
      EXPECT_NEAR(std::sqrt(errors[0] / errors[1]), relative, 0.1 * relative) << norm;
    }
  }
}

TYPED_TEST(QuantizeTest, LargeValuesKeepTheirSize) {
  const auto large = this->row_of({1e30f, -1e30f, 5000.0f, 1.0f});
  const Grid<TypeParam> fp8 = this->through(Payload::fp8, large);
  EXPECT_NEAR(fp8.value(0, 0) / 1e30, 1.0, 0.01);  // whatever the range of the elements
  const Grid<TypeParam> nvfp4 = this->through(Payload::nvfp4, large);
  EXPECT_NEAR(nvfp4.value(0, 0) / 1e30, 1.0, 0.1);
  EXPECT_EQ(nvfp4.value(0, 1), -nvfp4.value(0, 0));
  EXPECT_EQ(nvfp4.value(0, 2), 0.0);
}

TYPED_TEST(QuantizeTest, ErrorsAreThoseOfWhatComesBack) {
  Random random(2);
  const Grid<TypeParam> x(random, 4, 200);
  for (const Payload payload : kPayloads) {
    std::vector<double> errors;
    const Grid<TypeParam> out = this->through(payload, x, &errors);
    for (int64_t r = 0; r < 4; ++r) {
      double squares = 0, all = 0;
      for (int64_t c = 0; c < 200; ++c) {
        squares += std::pow(out.value(r, c) - x.value(r, c), 2);
        all += std::pow(x.value(r, c), 2);
      }
      EXPECT_DOUBLE_EQ(errors[static_cast<size_t>(2 * r)], squares);
      EXPECT_DOUBLE_EQ(errors[static_cast<size_t>(2 * r + 1)], all);
      const double relative = std::sqrt(squares / all);
      EXPECT_LT(relative, payload == Payload::fp8 ? 0.03 : 0.12);
      EXPECT_GT(relative, payload == Payload::fp8 ? 0.01 : 0.05);
    }
  }
}

TYPED_TEST(QuantizeTest, IsRowInvariant) {
  Random random(3);
  const Grid<TypeParam> x(random, 67, 150);
  for (const Payload payload : kPayloads) {
    Bytes whole(payload, 67, 150);
    Grid<double> errors(67, 2);
    const auto quantize = [&](int64_t first, int64_t count, Bytes& to, Grid<double>& sums) {
      quantize_rows<TypeParam>({payload}, count, 150, x.input(first), to.matrices(), sums.matrix());
    };
    quantize(0, 67, whole, errors);
    for (int64_t first = 0; first < 67; ++first) {
      const int64_t count = 1 + first * 5 % (67 - first);
      Bytes part(payload, count, 150);
      Grid<double> sums(count, 2);
      quantize(first, count, part, sums);
      for (int64_t r = 0; r < count; ++r) {
        ASSERT_EQ(part.row(r), whole.row(first + r));
        ASSERT_EQ(sums.at(r, 0), errors.at(first + r, 0));
      }
    }
    expect_row_invariant<TypeParam>(150, [&](int64_t first, int64_t count, Grid<TypeParam>& out) {
      dequantize_rows<TypeParam>({payload}, count, 150, whole.input(first), out.matrix());
    });
  }
}

TEST(QuantizeRowsTest, BytesOfATokenOfDeepSeekV3) {
  EXPECT_EQ(bytes_per_row(Payload::fp8, 7168), 7392);
  EXPECT_EQ(bytes_per_row(Payload::nvfp4, 7168), 4034);
  EXPECT_EQ(bytes_per_row(Payload::fp8, 130), 130 + 2 * 4);
  EXPECT_EQ(bytes_per_row(Payload::nvfp4, 33), 17 + 3 + 2);
}

TEST(SumErrorsTest, RowsOfPaddingDontCount) {
  const std::vector<double> errors = {1, 10, 2, 20, std::nan(""), std::nan(""), 4, 40};
  const std::vector<int32_t> ids = {3, -1, 0, 2, -1, -1, 7, 7};
  std::vector<double> sums = {0.5, 100};
  sum_errors(4, {errors.data(), 2}, {ids.data(), 2}, sums.data());
  EXPECT_EQ(sums, (std::vector<double>{7.5, 170}));
  sum_errors(0, {nullptr, 2}, {nullptr, 2}, sums.data());
  EXPECT_EQ(sums, (std::vector<double>{7.5, 170}));
}

}  // namespace
}  // namespace braid::kernels::cpu
