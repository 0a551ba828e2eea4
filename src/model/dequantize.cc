#include "model/dequantize.h"

#include <algorithm>
#include <cstring>

#include "base/float16.h"
#include "base/minifloat.h"
#include "base/status.h"

namespace braid::model {
namespace {

// Stored numbers may stand at any address: each is copied out.
template <typename T>
void convert_all(std::span<const std::byte> stored, std::span<float> out) {
  for (size_t i = 0; i < out.size(); ++i) {
    T value;
    std::memcpy(&value, stored.data() + i * sizeof(T), sizeof(T));
    out[i] = to_float(value);
  }
}

}  // namespace

bool is_plain_float(StorageType type) {
  return type == StorageType::f32 || type == StorageType::bf16 || type == StorageType::f16;
}

void convert(StorageType type, std::span<const std::byte> stored, int64_t first,
             std::span<float> out) {
  const auto width = static_cast<size_t>(bytes_of(type));
  const auto part = stored.subspan(static_cast<size_t>(first) * width, out.size() * width);
  switch (type) {
    case StorageType::f32: return convert_all<float>(part, out);
    case StorageType::bf16: return convert_all<bf16>(part, out);
    case StorageType::f16: return convert_all<f16>(part, out);
    default: BRAID_CHECK(false, "(not a plain float: {})", name_of(type));
  }
}

void dequantize_e4m3_row(std::span<const std::byte> stored, const BlockScales& scales, int64_t row,
                         int64_t first, std::span<float> out) {
  const std::byte* from = stored.data();
  const float* row_scales = scales.scales.data() + row / scales.rows * scales.stride;
  const int64_t end = first + std::ssize(out);
  float* value = out.data();
  for (int64_t column = first; column < end;) {
    const int64_t block = column / scales.columns;
    const int64_t block_end = std::min(end, (block + 1) * scales.columns);
    for (; column < block_end; ++column) {
      *value++ = e4m3_to_float(static_cast<uint8_t>(*from++)) * row_scales[block];
    }
  }
}

void dequantize_nvfp4_row(const Nvfp4Row& row, int64_t first, std::span<float> out) {
  const std::byte* values = row.values.data();
  const std::byte* scales = row.scales.data();
  for (int64_t i = 0; i < std::ssize(out); ++i) {
    const int64_t column = first + i;
    const auto pair = static_cast<uint8_t>(values[column / 2]);
    const float value = e2m1_to_float(column % 2 == 0 ? pair : pair >> 4);
    const float scale = e4m3_to_float(static_cast<uint8_t>(scales[column / kNvfp4Group]));
    out[static_cast<size_t>(i)] = value * scale * row.global_scale;
  }
}

}  // namespace braid::model
