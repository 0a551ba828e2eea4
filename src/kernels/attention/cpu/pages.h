// Where a sequence's positions lie in a paged cache, and how scratch is handed out.
#pragma once

#include <algorithm>
#include <cstddef>

#include "kernels/attention/cpu/attention.h"

namespace braid::kernels::cpu {

// The next `count` elements of scratch. Pointers are taken before floats, so all are aligned.
template <typename T>
T* take(std::byte*& free, int64_t count) {
  T* out = reinterpret_cast<T*>(free);
  free += count * int64_t{sizeof(T)};  // NOLINT(bugprone-sizeof-expression): T may be a pointer
  return out;
}

// out[p] = the cache row of position p, for p = 0 … positions[t] of row t's sequence.
template <typename T>
void find_rows(const PagedRows& rows, int64_t t, int64_t page_size, Matrix<const T> cache,
               const T** out) {
  const int32_t* blocks = rows.block_table.row(rows.sequences[t]);
  const int64_t count = rows.positions[t] + int64_t{1};
  for (int64_t first = 0; first < count; first += page_size, ++blocks) {
    const int64_t last = std::min(count, first + page_size);
    const T* row = cache.row(*blocks * page_size);
    for (int64_t p = first; p < last; ++p, row += cache.stride) out[p] = row;
  }
}

}  // namespace braid::kernels::cpu
