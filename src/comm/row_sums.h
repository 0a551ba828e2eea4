// Sums of rows of several members, in their order: what makes a collective's result the same bits
// in every run, whoever carries the rows.
#pragma once

#include <algorithm>
#include <vector>

#include "base/float16.h"
#include "comm/comm.h"

namespace braid::comm {

// Sums of columns [first_col, first_col + cols) of `ins`, in their order, in float32.
template <typename T>
class RowSums {
 public:
  RowSums(std::vector<Rows> ins, int64_t first_col, int64_t cols)
      : ins_(std::move(ins)), first_(first_col), sums_(static_cast<size_t>(cols)) {}

  void add(int64_t row) {
    std::fill(sums_.begin(), sums_.end(), -0.0f);  // −0 + x is x, whatever the sign of x
    for (const Rows& rows : ins_) {
      const T* in = at(rows, row);
      for (size_t i = 0; i < sums_.size(); ++i) sums_[i] += to_float(in[i]);
    }
  }
  // Rounded once.
  void write(const Rows& rows, int64_t row) const {
    T* out = at(rows, row);
    for (size_t i = 0; i < sums_.size(); ++i) out[i] = from_float<T>(sums_[i]);
  }

 private:
  T* at(const Rows& rows, int64_t row) const {
    return reinterpret_cast<T*>(rows.data + row * rows.stride) + first_;
  }

  std::vector<Rows> ins_;
  int64_t first_;
  std::vector<float> sums_;
};

inline bool can_sum(Format format) { return format == Format::f32 || format == Format::bf16; }

// Calls visit(T()) with the type of a format that can be summed.
template <typename Visit>
void with_type(Format format, Visit visit) {
  if (format == Format::f32) return visit(float{});
  visit(bf16{});
}

}  // namespace braid::comm
