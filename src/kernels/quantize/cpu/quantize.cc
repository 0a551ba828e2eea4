#include "kernels/quantize/cpu/quantize.h"

#include <algorithm>
#include <cstring>

#include "kernels/cpu/lanes.h"
#include "kernels/quantize/codec.h"

namespace braid::kernels::cpu {
namespace {

// The codes of a group of `count` elements from or to its bytes, for nvfp4 two in each; codes
// beyond `count` are 0.
template <typename Codec>
void pack(const uint8_t* codes, int64_t count, uint8_t* bytes) {
  if constexpr (Codec::kPayload == Payload::fp8) {
    std::memcpy(bytes, codes, static_cast<size_t>(count));
  } else {
    for (int64_t i = 0; i < count; i += 2) {
      bytes[i / 2] = static_cast<uint8_t>(codes[i] | codes[i + 1] << 4);
    }
  }
}

template <typename Codec>
void unpack(const uint8_t* bytes, int64_t count, uint8_t* codes) {
  if constexpr (Codec::kPayload == Payload::fp8) {
    std::memcpy(codes, bytes, static_cast<size_t>(count));
  } else {
    for (int64_t i = 0; i < count; i += 2) {
      codes[i] = bytes[i / 2];
      codes[i + 1] = static_cast<uint8_t>(bytes[i / 2] >> 4);
    }
  }
}

// Loops over a whole group, which the compiler vectorises; elements beyond `count` are zeros.
template <typename Codec, typename T>
void quantize_group(const T* x, int64_t count, float row_scale, uint8_t* payload,
                    uint8_t* scale_bytes, double* errors) {
  float values[Codec::kGroup] = {}, back[Codec::kGroup];
  uint8_t codes[Codec::kGroup];
  for (int64_t i = 0; i < count; ++i) values[i] = to_float(x[i]);
  GroupRange range;
  for (const float value : values) range.add(value);
  const typename Codec::Scale scale = Codec::scale_of(range, row_scale);
  std::memcpy(scale_bytes, &scale, sizeof(scale));
  const float by = Codec::value_of(scale) * row_scale;
  for (int i = 0; i < Codec::kGroup; ++i) codes[i] = Codec::code_of(values[i] / by);
  for (int i = 0; i < Codec::kGroup; ++i) {
    back[i] = to_float(from_float<T>(Codec::element_of(codes[i]) * by));
  }
  pack<Codec>(codes, count, payload);
  for (int64_t i = 0; i < count; ++i) {
    const double value = values[i], error = back[i] - value;
    errors[0] += error * error;
    errors[1] += value * value;
  }
}

// Of a row, which it writes behind the groups' scales; 1 where rows have none.
template <typename Codec, typename T>
float scale_row(const T* x, int64_t cols, uint8_t* scales) {
  if constexpr (!Codec::kScalesRows) return 1;
  GroupRange range;
  for (int64_t i = 0; i < cols; ++i) range.add(to_float(x[i]));
  const float scale = row_scale_of(range.most_bits);
  store_row_scale(scale, scales + num_groups(Codec::kPayload, cols));
  return scale;
}

template <typename Codec>
float scale_of_row(const uint8_t* scales, int64_t cols) {
  if constexpr (!Codec::kScalesRows) return 1;
  return load_row_scale(scales + num_groups(Codec::kPayload, cols));
}

template <typename Codec, typename T>
void quantize(int64_t rows, int64_t cols, Matrix<const T> x, const QuantizedRows<uint8_t>& to,
              Matrix<double> errors) {
  constexpr auto kScaleBytes = static_cast<int64_t>(sizeof(typename Codec::Scale));
  for (int64_t row = 0; row < rows; ++row) {
    double* of_row = errors.row(row);
    std::fill_n(of_row, 2, 0.0);
    const float row_scale = scale_row<Codec>(x.row(row), cols, to.scales.row(row));
    for (int64_t first = 0; first < cols; first += Codec::kGroup) {
      quantize_group<Codec>(x.row(row) + first, std::min<int64_t>(Codec::kGroup, cols - first),
                            row_scale,
                            to.payload.row(row) + payload_columns(Codec::kPayload, first),
                            to.scales.row(row) + first / Codec::kGroup * kScaleBytes, of_row);
    }
  }
}

template <typename Codec, typename T>
void dequantize(int64_t rows, int64_t cols, const QuantizedRows<const uint8_t>& from,
                Matrix<T> out) {
  for (int64_t row = 0; row < rows; ++row) {
    const float row_scale = scale_of_row<Codec>(from.scales.row(row), cols);
    for (int64_t first = 0; first < cols; first += Codec::kGroup) {
      typename Codec::Scale scale;
      const auto at = static_cast<size_t>(first / Codec::kGroup) * sizeof(scale);
      std::memcpy(&scale, from.scales.row(row) + at, sizeof(scale));
      const float by = Codec::value_of(scale) * row_scale;
      const uint8_t* payload = from.payload.row(row) + payload_columns(Codec::kPayload, first);
      T* to = out.row(row) + first;
      const int64_t count = std::min<int64_t>(Codec::kGroup, cols - first);
      uint8_t codes[Codec::kGroup];
      unpack<Codec>(payload, count, codes);
      for (int64_t i = 0; i < count; ++i) {
        to[i] = from_float<T>(Codec::element_of(codes[i]) * by);
      }
    }
  }
}

}  // namespace

template <typename T>
void quantize_rows(const QuantizeRowsDesc& desc, int64_t rows, int64_t cols, Matrix<const T> x,
                   const QuantizedRows<uint8_t>& to, Matrix<double> errors) {
  if (desc.payload == Payload::fp8) {
    quantize<Fp8Codec>(rows, cols, x, to, errors);
  } else {
    quantize<Nvfp4Codec>(rows, cols, x, to, errors);
  }
}

template <typename T>
void dequantize_rows(const DequantizeRowsDesc& desc, int64_t rows, int64_t cols,
                     const QuantizedRows<const uint8_t>& from, Matrix<T> out) {
  if (desc.payload == Payload::fp8) {
    dequantize<Fp8Codec>(rows, cols, from, out);
  } else {
    dequantize<Nvfp4Codec>(rows, cols, from, out);
  }
}

void sum_errors(int64_t rows, Matrix<const double> errors, Matrix<const int32_t> ids,
                double* sums) {
  for (int64_t row = 0; row < rows; ++row) {
    if (ids.row(row)[0] < 0) continue;
    sums[0] += errors.row(row)[0];
    sums[1] += errors.row(row)[1];
  }
}

template void quantize_rows(const QuantizeRowsDesc&, int64_t, int64_t, Matrix<const float>,
                            const QuantizedRows<uint8_t>&, Matrix<double>);
template void quantize_rows(const QuantizeRowsDesc&, int64_t, int64_t, Matrix<const bf16>,
                            const QuantizedRows<uint8_t>&, Matrix<double>);
template void dequantize_rows(const DequantizeRowsDesc&, int64_t, int64_t,
                              const QuantizedRows<const uint8_t>&, Matrix<float>);
template void dequantize_rows(const DequantizeRowsDesc&, int64_t, int64_t,
                              const QuantizedRows<const uint8_t>&, Matrix<bf16>);

}  // namespace braid::kernels::cpu
