// Rows in fewer bits for the way between ranks. T rows of C columns; each group of consecutive
// columns of a row has a scale of its own, the last one perhaps fewer columns than the others.
#pragma once

#include <cstdint>

namespace braid::kernels {

enum class Payload : int32_t {
  fp8,    // e4m3, a byte a column; scales f32, one for 128 columns
  nvfp4,  // e2m1, two columns a byte, the first in the low bits; scales e4m3, one for 16 columns,
          // and behind them one of the row: the upper half of a float32, low byte first
};

constexpr int64_t kRowScaleBytes = 2;

constexpr int64_t group_columns(Payload payload) { return payload == Payload::fp8 ? 128 : 16; }
constexpr int64_t payload_columns(Payload payload, int64_t columns) {
  return payload == Payload::fp8 ? columns : (columns + 1) / 2;
}
constexpr int64_t num_groups(Payload payload, int64_t columns) {
  return (columns + group_columns(payload) - 1) / group_columns(payload);
}
// Scales of the groups, and the bytes of the row's.
constexpr int64_t scale_columns(Payload payload, int64_t columns) {
  return num_groups(payload, columns) + (payload == Payload::fp8 ? 0 : kRowScaleBytes);
}
constexpr int64_t bytes_per_scale(Payload payload) { return payload == Payload::fp8 ? 4 : 1; }
// Bytes of payload and scales together.
constexpr int64_t bytes_per_row(Payload payload, int64_t columns) {
  return payload_columns(payload, columns) +
         scale_columns(payload, columns) * bytes_per_scale(payload);
}

// x [T, C] → payload u8 [T, payload_columns], scales [T, scale_columns] f32 or u8 (e4m3), and
// errors f64 [T, 2]: Σ (x̂ − x)² and Σ x² of each row, where x̂ is what DequantizeRows makes of it.
//
// With nvfp4 a row has a scale: the smallest power of two by which its largest finite magnitude is
// at most 2688 = 6 · 448, what a group can hold; so that a row's error doesn't depend on its norm.
// A group's scale is its largest finite magnitude / 448 (nvfp4: / the row's scale / 6, rounded to
// e4m3), at least the smallest normal float32 (nvfp4: the smallest subnormal e4m3), so that it is
// never zero; elements are divided by it (nvfp4: and by the row's) and rounded to the nearest, ties
// to even. What is not finite becomes NaN: with fp8 it alone, with nvfp4 its group.
struct QuantizeRowsDesc {
  Payload payload = Payload::fp8;
};

// payload, scales → out [T, C] = element · scale (nvfp4: · the row's scale) in float32, rounded to
// out's format.
struct DequantizeRowsDesc {
  Payload payload = Payload::fp8;
};

// sums f64 [1, 2] += errors f64 [T, 2] of the rows t with ids[t, 0] ≥ 0, in the order of the rows.
struct SumErrorsDesc {};

}  // namespace braid::kernels
