#include "model/dequantize.h"

#include <bit>

#include "model/testing.h"

namespace braid::model {
namespace {

std::vector<float> values_of(const TensorView& tensor) {
  std::vector<float> values(tensor.bytes.size() / 4);
  convert(tensor.type, tensor.bytes, 0, values);
  return values;
}

TEST(DequantizeTest, PlainFloatsAtAnyAddress) {
  const std::vector<uint8_t> bytes = {9, 0x80, 0x3f, 0x00, 0xc0, 0x00, 0x3c};  // one byte off
  const auto stored = std::as_bytes(std::span(bytes)).subspan(1);
  std::vector<float> out(1);
  convert(StorageType::bf16, stored, 1, out);
  EXPECT_EQ(out[0], -2.0f);
  convert(StorageType::f16, stored, 2, out);
  EXPECT_EQ(out[0], 1.0f);
  convert(StorageType::f32, stored, 0, out);
  EXPECT_EQ(out[0], std::bit_cast<float>(0xc0003f80u));
  EXPECT_TRUE(is_plain_float(StorageType::f16));
  EXPECT_FALSE(is_plain_float(StorageType::f64));
  EXPECT_FALSE(is_plain_float(StorageType::f8_e4m3));
}

// Any part of any row is the same as that part of the whole.
TEST(DequantizeTest, E4m3BlocksThatDoNotDivideTheMatrix) {
  const std::string folder = testing::source_path("tests/data/quant/fp8_block_odd/");
  const auto stored = *SafetensorsFile::open(folder + "model.safetensors");
  const auto expected = *SafetensorsFile::open(folder + "expected.safetensors");
  const TensorView& scale = *stored.find("x.weight_scale_inv");
  BlockScales scales{16, 32, 2, std::vector<float>(6)};
  convert(scale.type, scale.bytes, 0, scales.scales);
  const std::vector<float> whole = values_of(*expected.find("x.weight"));
  for (int64_t row = 0; row < 40; ++row) {
    for (int64_t first = 0; first < 50; first += 7) {
      for (int64_t count : {int64_t{0}, int64_t{1}, 50 - first}) {
        std::vector<float> out(static_cast<size_t>(count));
        dequantize_e4m3_row(stored.find("x.weight")->bytes, 50, scales, row, first, out);
        const auto begin = whole.begin() + row * 50 + first;
        ASSERT_EQ(out, std::vector<float>(begin, begin + count)) << row << " " << first;
      }
    }
  }
}

TEST(DequantizeTest, Nvfp4WithEveryCodeAndExtremeScales) {
  const std::string folder = testing::source_path("tests/data/quant/nvfp4_extremes/");
  const auto stored = *SafetensorsFile::open(folder + "model.safetensors");
  const auto expected = *SafetensorsFile::open(folder + "expected.safetensors");
  Nvfp4Matrix matrix{stored.find("x.weight")->bytes, stored.find("x.weight_scale")->bytes, 0, 32};
  convert(StorageType::f32, stored.find("x.weight_scale_2")->bytes, 0,
          std::span(&matrix.global_scale, 1));
  const std::vector<float> whole = values_of(*expected.find("x.weight"));
  for (int64_t row = 0; row < 8; ++row) {
    for (int64_t first = 0; first < 32; first += 5) {  // odd columns too: the high nibble first
      std::vector<float> out(static_cast<size_t>(32 - first));
      dequantize_nvfp4_row(matrix, row, first, out);
      const auto begin = whole.begin() + row * 32 + first;
      ASSERT_EQ(out, std::vector<float>(begin, begin + 32 - first)) << row << " " << first;
    }
  }
}

}  // namespace
}  // namespace braid::model
