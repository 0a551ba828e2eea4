#include "model/dequantize.h"

#include <bit>

#include "model/testing.h"

namespace braid::model {
namespace {

std::vector<float> values_of(const StoredTensor& tensor) {
  std::vector<float> values(static_cast<size_t>(tensor.bytes / bytes_of(tensor.type)));
  convert(tensor.type, *tensor.read(), 0, values);
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
  const std::vector<std::byte> bytes = *stored.find("x.weight")->read();
  BlockScales scales{16, 32, 2, values_of(*stored.find("x.weight_scale_inv"))};
  const std::vector<float> whole = values_of(*expected.find("x.weight"));
  for (int64_t row = 0; row < 40; ++row) {
    for (int64_t first = 0; first < 50; first += 7) {
      for (int64_t count : {int64_t{0}, int64_t{1}, 50 - first}) {
        std::vector<float> out(static_cast<size_t>(count));
        dequantize_e4m3_row(std::span(bytes).subspan(static_cast<size_t>(row * 50 + first)), scales,
                            row, first, out);
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
  const std::vector<std::byte> values = *stored.find("x.weight")->read();
  const std::vector<std::byte> scales = *stored.find("x.weight_scale")->read();
  const float global_scale = values_of(*stored.find("x.weight_scale_2"))[0];
  const std::vector<float> whole = values_of(*expected.find("x.weight"));
  for (int64_t row = 0; row < 8; ++row) {
    for (int64_t first = 0; first < 32; first += 5) {  // odd columns too: the high nibble first
      std::vector<float> out(static_cast<size_t>(32 - first));
      const auto at = static_cast<size_t>(row);
      dequantize_nvfp4_row({std::span(values).subspan(at * 16, 16),
                            std::span(scales).subspan(at * 2, 2), global_scale},
                           first, out);
      const auto begin = whole.begin() + row * 32 + first;
      ASSERT_EQ(out, std::vector<float>(begin, begin + 32 - first)) << row << " " << first;
    }
  }
}

}  // namespace
}  // namespace braid::model
