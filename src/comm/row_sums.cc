#include "comm/row_sums.h"

#include <algorithm>
#include <array>

#include "base/float16.h"

namespace braid::comm {
namespace {

template <typename T>
T* at(const Rows& rows, int64_t row, int64_t col) {
  return reinterpret_cast<T*>(rows.data + row * rows.stride) + col;
}

template <typename T>
void sum(std::span<const Rows> ins, std::span<const Rows> outs, const SummedPart& part) {
  std::array<float, 1024> room;
  const int64_t last = part.col + part.cols;
  for (int64_t row = 0; row < part.rows; ++row) {
    for (int64_t col = part.col; col < last; col += std::ssize(room)) {
      const auto sums = std::span(room).first(
          static_cast<size_t>(std::min<int64_t>(std::ssize(room), last - col)));
      std::fill(sums.begin(), sums.end(), -0.0f);  // −0 + x is x, whatever the sign of x
      for (const Rows& rows : ins) {
        const T* in = at<const T>(rows, part.row + row, col);
        for (size_t i = 0; i < sums.size(); ++i) sums[i] += to_float(in[i]);
      }
      for (const Rows& rows : outs) {
        T* out = at<T>(rows, part.out_row + row, col);
        for (size_t i = 0; i < sums.size(); ++i) out[i] = from_float<T>(sums[i]);
      }
    }
  }
}

}  // namespace

void sum_rows(std::span<const Rows> ins, std::span<const Rows> outs, const SummedPart& part) {
  if (ins[0].format == Format::f32) {
    sum<float>(ins, outs, part);
  } else {
    sum<bf16>(ins, outs, part);
  }
}

}  // namespace braid::comm
