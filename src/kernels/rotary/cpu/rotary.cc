#include "kernels/rotary/cpu/rotary.h"

#include <cmath>

#include "base/status.h"

namespace braid::kernels::cpu {
namespace {

// The pair (a, b) turned by the angle.
template <typename T>
void turn(T& a, T& b, float cosine, float sine) {
  const float from_a = to_float(a);
  const float from_b = to_float(b);
  a = from_float<T>(from_a * cosine - from_b * sine);
  b = from_float<T>(from_b * cosine + from_a * sine);
}

}  // namespace

void rotary_table(const RotaryTableDesc& desc, int64_t rows, int64_t dims, const int32_t* positions,
                  const float* inverse_frequencies, Matrix<float> table) {
  BRAID_CHECK(dims % 2 == 0, "dims {}", dims);
  const int64_t half = dims / 2;
  for (int64_t row = 0; row < rows; ++row) {
    float* out = table.row(row);
    for (int64_t i = 0; i < half; ++i) {
      // The angle is a float32, as models were trained. Its cosine goes through double, so that
      // every libm gives the same float32.
      const double angle = static_cast<float>(positions[row]) * inverse_frequencies[i];
      out[i] = static_cast<float>(std::cos(angle)) * desc.multiplier;
      out[half + i] = static_cast<float>(std::sin(angle)) * desc.multiplier;
    }
  }
}

template <typename T>
void rotary(const RotaryDesc& desc, int64_t rows, int64_t cols, Matrix<const float> table,
            Matrix<T> x) {
  BRAID_CHECK(desc.dims % 2 == 0 && desc.offset + desc.dims <= desc.head_dim, "offset {} dims {}",
              desc.offset, desc.dims);
  BRAID_CHECK(cols % desc.head_dim == 0, "cols {} head_dim {}", cols, desc.head_dim);
  const int64_t half = desc.dims / 2;
  for (int64_t row = 0; row < rows; ++row) {
    const float* cosines = table.row(row);
    const float* sines = cosines + half;
    for (int64_t first = desc.offset; first < cols; first += desc.head_dim) {
      T* head = x.row(row) + first;
      if (desc.interleaved != 0) {
        for (int64_t i = 0; i < half; ++i) {
          turn(head[2 * i], head[2 * i + 1], cosines[i], sines[i]);
        }
      } else {
        for (int64_t i = 0; i < half; ++i) turn(head[i], head[i + half], cosines[i], sines[i]);
      }
    }
  }
}

template void rotary(const RotaryDesc&, int64_t, int64_t, Matrix<const float>, Matrix<float>);
template void rotary(const RotaryDesc&, int64_t, int64_t, Matrix<const float>, Matrix<bf16>);

}  // namespace braid::kernels::cpu
