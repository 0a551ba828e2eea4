#include "kernels/moe/cpu/exchange.h"

#include "kernels/cpu/lanes.h"

namespace braid::kernels::cpu {

void rank_order(const RankOrderDesc& desc, int64_t rows, int64_t top_k, Matrix<const int32_t> ids,
                int32_t* counts, int32_t* source, Matrix<int32_t> places) {
  int32_t sent = 0;
  for (int32_t rank = 0; rank < desc.ranks; ++rank) {
    const int32_t before = sent;
    for (int64_t t = 0; t < rows; ++t) {
      const int32_t* of_row = ids.row(t);
      const bool here = std::any_of(of_row, of_row + top_k, [&](int32_t id) {
        return id >= 0 && id / desc.experts_per_rank == rank;
      });
      places.row(t)[rank] = here ? sent : -1;
      if (here) source[sent++] = static_cast<int32_t>(t);
    }
    counts[rank] = sent - before;
  }
  std::fill(source + sent, source + most_sends(rows, top_k, desc.ranks), -1);
}

namespace {

// Columns [first, first + count) of one row of the result; count ≤ kChunk.
constexpr int64_t kChunk = 64;

template <typename T>
void merge_chunk(int64_t first, int64_t count, int64_t ranks, Matrix<const T> from,
                 const int32_t* places, T* out) {
  float sums[kChunk];
  std::fill_n(sums, kChunk, -0.0f);  // −0 + x is x, whatever the sign of x
  for (int64_t rank = 0; rank < ranks; ++rank) {
    const T* row = places[rank] < 0 ? nullptr : from.row(places[rank]) + first;
    for (int64_t i = 0; i < count; ++i) sums[i] += row == nullptr ? 0.0f : to_float(row[i]);
  }
  for (int64_t i = 0; i < count; ++i) out[first + i] = from_float<T>(sums[i]);
}

}  // namespace

template <typename T>
void merge_ranks(int64_t rows, int64_t cols, int64_t ranks, Matrix<const T> from,
                 Matrix<const int32_t> places, Matrix<T> out) {
  for (int64_t t = 0; t < rows; ++t) {
    for (int64_t first = 0; first < cols; first += kChunk) {
      merge_chunk(first, std::min(kChunk, cols - first), ranks, from, places.row(t), out.row(t));
    }
  }
}

template void merge_ranks(int64_t, int64_t, int64_t, Matrix<const float>, Matrix<const int32_t>,
                          Matrix<float>);
template void merge_ranks(int64_t, int64_t, int64_t, Matrix<const bf16>, Matrix<const int32_t>,
                          Matrix<bf16>);

}  // namespace braid::kernels::cpu
