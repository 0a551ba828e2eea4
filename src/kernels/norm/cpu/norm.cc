#include "kernels/norm/cpu/norm.h"

#include <cmath>

#include "base/status.h"
#include "kernels/cpu/lanes.h"

namespace braid::kernels::cpu {
namespace {

template <typename T>
void normalize(float eps, int64_t count, const T* x, const T* w, T* y) {
  const float squares = sum_terms(count, [x](int64_t i) {
    const float value = to_float(x[i]);
    return value * value;
  });
  const float scale = 1.0f / std::sqrt(squares / static_cast<float>(count) + eps);
  for (int64_t i = 0; i < count; ++i) {
    y[i] = from_float<T>(to_float(w[i]) * (to_float(x[i]) * scale));
  }
}

}  // namespace

template <typename T>
void rms_norm(const RmsNormDesc& desc, int64_t rows, int64_t cols, Matrix<const T> x, const T* w,
              Matrix<T> y) {
  const int64_t group = desc.group == 0 ? cols : desc.group;
  BRAID_CHECK(group > 0 && cols % group == 0, "cols {} group {}", cols, group);
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t first = 0; first < cols; first += group) {
      normalize(desc.eps, group, x.row(row) + first, w, y.row(row) + first);
    }
  }
}

template void rms_norm(const RmsNormDesc&, int64_t, int64_t, Matrix<const float>, const float*,
                       Matrix<float>);
template void rms_norm(const RmsNormDesc&, int64_t, int64_t, Matrix<const bf16>, const bf16*,
                       Matrix<bf16>);

}  // namespace braid::kernels::cpu
