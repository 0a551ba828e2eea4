#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/rotary/cuda/rotary.h"
#include "kernels/rotary/cuda/turn.cuh"

namespace braid::kernels::cuda {
namespace {

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads)
    fill_table(float multiplier, int64_t rows, int half, const int32_t* positions,
               const float* inverse_frequencies, Matrix<float> table) {
  start_in_turn();
  const int64_t index = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const int64_t row = index / half;
  if (row >= rows) return;
  const auto i = static_cast<int>(index % half);
  const double angle = __fmul_rn(static_cast<float>(positions[row]), inverse_frequencies[i]);
  double sine, cosine;
  sincos(angle, &sine, &cosine);
  table.row(row)[i] = __fmul_rn(static_cast<float>(cosine), multiplier);
  table.row(row)[half + i] = __fmul_rn(static_cast<float>(sine), multiplier);
}

template <typename T>
struct Rotation {
  RotaryDesc desc;
  int heads;
  Matrix<const float> table;
  Matrix<T> x;
};

// One block a row. Pairs (i, i + half), kPack of them a thread.
template <typename T>
__global__ void __launch_bounds__(kThreads) rotate_packs(Rotation<T> r) {
  start_in_turn();
  const int64_t row = blockIdx.x;
  const int half = r.desc.dims / 2;
  const int packs = half / kPack;
  const float* cosines = r.table.row(row);
  for (int index = static_cast<int>(threadIdx.x); index < r.heads * packs; index += kThreads) {
    const int i = index % packs * kPack;
    T* head = r.x.row(row) + int64_t{index / packs} * r.desc.head_dim + r.desc.offset;
    Pack<T> a = load_pack<true>(head + i, kPack);
    Pack<T> b = load_pack<true>(head + half + i, kPack);
    const Pack<float> cosine = load_pack<true>(cosines + i, kPack);
    const Pack<float> sine = load_pack<true>(cosines + half + i, kPack);
#pragma unroll
    for (int j = 0; j < kPack; ++j) {
      turn(a.values[j], b.values[j], cosine.values[j], sine.values[j]);
    }
    store_pack<true>(head + i, kPack, a);
    store_pack<true>(head + half + i, kPack, b);
  }
}

// One block a row, one pair a thread.
template <typename T>
__global__ void __launch_bounds__(kThreads) rotate_pairs(Rotation<T> r) {
  start_in_turn();
  const int64_t row = blockIdx.x;
  const int half = r.desc.dims / 2;
  const float* cosines = r.table.row(row);
  for (int index = static_cast<int>(threadIdx.x); index < r.heads * half; index += kThreads) {
    const int i = index % half;
    T* head = r.x.row(row) + int64_t{index / half} * r.desc.head_dim + r.desc.offset;
    T* a = r.desc.interleaved != 0 ? head + 2 * i : head + i;
    T* b = r.desc.interleaved != 0 ? a + 1 : a + half;
    turn(*a, *b, cosines[i], cosines[half + i]);
  }
}

}  // namespace

void rotary_table(const RotaryTableDesc& desc, int64_t rows, int64_t dims, const int32_t* positions,
                  const float* inverse_frequencies, Matrix<float> table, const KernelStream& on) {
  const auto half = static_cast<int>(dims / 2);
  const auto blocks = static_cast<unsigned>(ceil_div(rows * half, kThreads));
  if (blocks == 0) return;
  launch_kernel(on, {blocks, kThreads}, fill_table, desc.multiplier, rows, half, positions,
                inverse_frequencies, table);
}

template <typename T>
void rotary(const RotaryDesc& desc, int64_t rows, int64_t cols, Matrix<const float> table,
            Matrix<T> x, const KernelStream& on) {
  const Rotation<T> rotation{desc, static_cast<int>(cols / desc.head_dim), table, x};
  const auto blocks = static_cast<unsigned>(rows);
  if (blocks == 0 || desc.dims == 0 || cols == 0) return;
  // All packs of a head start on 16 bytes.
  const bool packed = desc.interleaved == 0 &&
                      is_packed(desc.dims / 2, x.data + desc.offset, x.stride) &&
                      is_packed(desc.dims / 2, table) && is_packed(desc.head_dim, x.data, x.stride);
  if (packed) {
    launch_kernel(on, {blocks, kThreads}, rotate_packs<T>, rotation);
  } else {
    launch_kernel(on, {blocks, kThreads}, rotate_pairs<T>, rotation);
  }
}

template void rotary(const RotaryDesc&, int64_t, int64_t, Matrix<const float>, Matrix<float>,
                     const KernelStream&);
template void rotary(const RotaryDesc&, int64_t, int64_t, Matrix<const float>, Matrix<bf16>,
                     const KernelStream&);

}  // namespace braid::kernels::cuda
