#include "kernels/moe/cpu/moe.h"

#include <algorithm>

#include "kernels/cpu/lanes.h"
#include "kernels/gemm/cpu/gemm.h"
#include "kernels/rows/cpu/rows.h"

namespace braid::kernels::cpu {

void permute(const PermuteDesc& desc, int64_t rows, int64_t top_k, Matrix<const int32_t> ids,
             const SlotTable& table, int32_t* offsets, int32_t* source, Matrix<int32_t> places) {
  const auto slot_at = [&](int64_t t, int64_t k) {
    return k < top_k ? local_slot(desc, table, ids.row(t)[k], static_cast<int32_t>(t))
                     : shared_slot(desc, static_cast<int32_t>(k), static_cast<int32_t>(top_k));
  };
  const int64_t all = top_k + desc.num_shared;
  // A counting sort. While rows are placed, offsets[s] is where the next row of slot s goes; in the
  // end that is where slot s + 1 starts.
  std::fill_n(offsets, desc.num_slots + 1, 0);
  for (int64_t t = 0; t < rows; ++t) {
    for (int64_t k = 0; k < all; ++k) {
      const int32_t slot = slot_at(t, k);
      if (slot >= 0) ++offsets[slot + 1];
    }
  }
  for (int64_t s = 0; s < desc.num_slots; ++s) offsets[s + 1] += offsets[s];
  for (int64_t t = 0; t < rows; ++t) {
    for (int64_t k = 0; k < all; ++k) {
      const int32_t slot = slot_at(t, k);
      if (slot >= 0) source[offsets[slot]] = static_cast<int32_t>(t);
      places.row(t)[k] = slot < 0 ? -1 : offsets[slot]++;
    }
  }
  for (int64_t s = desc.num_slots; s > 0; --s) offsets[s] = offsets[s - 1];
  offsets[0] = 0;
}

namespace {

// Columns [first, first + count) of one row of the result; count ≤ kChunk.
constexpr int64_t kChunk = 64;

template <typename T>
void combine_chunk(const CombineDesc& desc, int64_t first, int64_t count, int64_t top_k,
                   Matrix<const T> grouped, const int32_t* places, const float* weights, T* out) {
  float sums[kChunk] = {};
  for (int64_t k = 0; k < top_k + desc.num_shared; ++k) {
    if (places[k] < 0) continue;
    const T* row = grouped.row(places[k]) + first;
    const float weight = k < top_k ? weights[k] : 1.0f;
    for (int64_t i = 0; i < count; ++i) {
      sums[i] = __builtin_fmaf(weight, to_float(row[i]), sums[i]);
    }
  }
  for (int64_t i = 0; i < count; ++i) out[first + i] = from_float<T>(sums[i]);
}

}  // namespace

template <typename T>
void combine(const CombineDesc& desc, int64_t rows, int64_t cols, int64_t top_k,
             Matrix<const T> grouped, Matrix<const int32_t> places, Matrix<const float> weights,
             Matrix<T> out) {
  for (int64_t t = 0; t < rows; ++t) {
    for (int64_t first = 0; first < cols; first += kChunk) {
      combine_chunk(desc, first, std::min(kChunk, cols - first), top_k, grouped, places.row(t),
                    weights.row(t), out.row(t));
    }
  }
}

template <typename T>
void experts_down(const ExpertsDownDesc& desc, const ExpertsDownArgs<T>& args, std::byte* scratch) {
  const Matrix<T> grouped{reinterpret_cast<T*>(scratch), args.n};
  grouped_gemm<T, T, T>({.num_slots = desc.num_slots}, args.n, args.k, args.x, nullptr,
                        args.offsets, args.w, grouped);
  const Matrix<const T> products{grouped.data, grouped.stride};
  combine<T>({.num_shared = desc.num_shared}, args.rows, args.n, args.top_k, products, args.places,
             args.weights, args.out);
  const Matrix<const T> sums{args.out.data, args.out.stride};
  for (const Matrix<const T>& addend : {args.addends.shared, args.addends.residual}) {
    if (addend.data != nullptr) add<T>(args.rows, args.n, sums, addend, args.out);
  }
}

template void combine(const CombineDesc&, int64_t, int64_t, int64_t, Matrix<const float>,
                      Matrix<const int32_t>, Matrix<const float>, Matrix<float>);
template void combine(const CombineDesc&, int64_t, int64_t, int64_t, Matrix<const bf16>,
                      Matrix<const int32_t>, Matrix<const float>, Matrix<bf16>);

template void experts_down(const ExpertsDownDesc&, const ExpertsDownArgs<float>&, std::byte*);
template void experts_down(const ExpertsDownDesc&, const ExpertsDownArgs<bf16>&, std::byte*);

}  // namespace braid::kernels::cpu
