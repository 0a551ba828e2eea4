#include "kernels/fill/cpu/fill.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace braid::kernels::cpu {
namespace {

static_assert(std::endian::native == std::endian::little, "a hash's lowest 16 bits come first");

constexpr int64_t kStrip = 256;  // numbers that are made at a time
constexpr int64_t kSpare = 2 * kNumbersOfHash;

// from_float() without its case for NaN, so that the loop is vectorised.
uint32_t bf16_bits(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  return (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
}

template <typename T, bool kToBf16>
T stored(float value);
template <>
[[maybe_unused]] bf16 stored<bf16, false>(float value) {
  return {static_cast<uint16_t>(bf16_bits(value))};
}
template <>
[[maybe_unused]] bf16 stored<bf16, true>(float value) {
  return stored<bf16, false>(value);
}
template <>
[[maybe_unused]] float stored<float, false>(float value) {
  return value;
}
template <>
[[maybe_unused]] float stored<float, true>(float value) {
  return std::bit_cast<float>(bf16_bits(value) << 16);
}

// Numbers first … first + count − 1, at most kStrip.
template <typename T, bool kToBf16>
void fill_strip(uint64_t key, float bound, uint64_t first, int64_t count, T* out) {
  std::array<uint16_t, kStrip + kSpare> bits;
  const auto skipped = static_cast<int64_t>(first % kNumbersOfHash);
  const int64_t hashes = (skipped + count + kNumbersOfHash - 1) / kNumbersOfHash;
  for (int64_t i = 0; i < hashes; ++i) {
    const uint64_t hash = hash_of_numbers(key, first + static_cast<uint64_t>(i) * kNumbersOfHash);
    std::memcpy(bits.data() + i * kNumbersOfHash, &hash, sizeof(hash));
  }
  const uint16_t* own = bits.data() + skipped;
  for (int64_t i = 0; i < count; ++i) {
    out[i] = stored<T, kToBf16>(uniform_number(static_cast<uint32_t>(own[i]), bound));
  }
}

template <typename T, bool kToBf16>
void fill_rows(const UniformDesc& desc, int64_t rows, int64_t cols, Matrix<T> out) {
  for (int64_t row = 0; row < rows; ++row) {
    const uint64_t first = desc.first + static_cast<uint64_t>(row) * desc.stride;
    T* to = out.row(row);
    for (int64_t col = 0; col < desc.columns; col += kStrip) {
      fill_strip<T, kToBf16>(desc.key, desc.bound, first + static_cast<uint64_t>(col),
                             std::min(kStrip, desc.columns - col), to + col);
    }
    std::fill(to + desc.columns, to + cols, T{});
  }
}

}  // namespace

template <typename T>
void fill_uniform(const UniformDesc& desc, int64_t rows, int64_t cols, Matrix<T> out) {
  if (desc.to_bf16) return fill_rows<T, true>(desc, rows, cols, out);
  fill_rows<T, false>(desc, rows, cols, out);
}

template void fill_uniform(const UniformDesc&, int64_t, int64_t, Matrix<float>);
template void fill_uniform(const UniformDesc&, int64_t, int64_t, Matrix<bf16>);

}  // namespace braid::kernels::cpu
