#include <algorithm>
#include <type_traits>

#include "kernels/cuda/launch.cuh"
#include "kernels/gemm/cuda/elements.cuh"
#include "kernels/gemm/cuda/finish_gemm.h"

namespace braid::kernels::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kColumns = 8;  // of sums, for each thread

template <typename T>
struct alignas(sizeof(T) * kColumns <= 16 ? sizeof(T) * kColumns : 16) Pack {
  T values[kColumns];
};

// `part_step`: elements from part to part.
template <typename In, typename Bias>
__device__ void load_sums(const In* sums, int parts, int64_t part_step, const Bias* bias,
                          int64_t col, int64_t n, float (&out)[kColumns]) {
  const Pack<In> first = *reinterpret_cast<const Pack<In>*>(sums + col);
#pragma unroll
  for (int i = 0; i < kColumns; ++i) out[i] = to_f32(first.values[i]);
#pragma unroll 4
  for (int part = 1; part < parts; ++part) {
    const Pack<In> pack = *reinterpret_cast<const Pack<In>*>(sums + part * part_step + col);
#pragma unroll
    for (int i = 0; i < kColumns; ++i) out[i] += to_f32(pack.values[i]);
  }
#pragma unroll
  for (int i = 0; i < kColumns; ++i) {
    if (bias != nullptr && col + i < n) out[i] += to_f32(bias[col + i]);
  }
}

// kCount values to y, or the first `count` of them; `aligned`: y may be accessed as vectors.
template <int kCount, typename T>
__device__ void store(T* y, const float (&values)[kColumns], int64_t count, bool aligned) {
  using Vector = std::conditional_t<sizeof(T) * kCount == 8, uint2, uint4>;
  constexpr int kVectors = sizeof(T) * kCount / sizeof(Vector);
  alignas(16) T rounded[kCount];
#pragma unroll
  for (int i = 0; i < kCount; ++i) rounded[i] = from_f32<T>(values[i]);
  if (aligned && count >= kCount) {
#pragma unroll
    for (int i = 0; i < kVectors; ++i) {  // a plain assignment would be split into words
      __stwb(reinterpret_cast<Vector*>(y) + i, reinterpret_cast<const Vector*>(rounded)[i]);
    }
    return;
  }
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    if (i < count) y[i] = rounded[i];
  }
}

// The rounded values and a residual's, of which there are `count`.
template <int kCount, typename T>
__device__ void add_residual(const T* residual, float (&values)[kColumns], int64_t count) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    if (i < count) values[i] = __fadd_rn(to_f32(from_f32<T>(values[i])), to_f32(residual[i]));
  }
}

template <typename In, typename Bias, typename Out>
__global__ void finish_kernel(FinishGemm finish, bool aligned) {
  start_in_turn();
  const int64_t col = (int64_t{blockIdx.x} * kThreads + threadIdx.x) * kColumns;
  if (col >= finish.n) return;
  const auto* bias = static_cast<const Bias*>(finish.bias);
  for (int64_t row = blockIdx.y; row < finish.rows; row += gridDim.y) {
    float values[kColumns];
    load_sums(static_cast<const In*>(finish.sums) + row * finish.sums_stride, finish.parts,
              finish.rows * finish.sums_stride, bias, col, finish.n, values);
    Out* y = static_cast<Out*>(finish.y) + row * finish.y_stride;
    const bool adds = finish.residual != nullptr;
    const Out* residual = static_cast<const Out*>(finish.residual) + row * finish.residual_stride;
    if (finish.epilogue == Epilogue::swiglu) {
      for (int i = 0; i < kColumns / 2; ++i) {
        values[i] = silu(values[2 * i]) * values[2 * i + 1];
      }
      if (adds) add_residual<kColumns / 2>(residual + col / 2, values, (finish.n - col) / 2);
      store<kColumns / 2>(y + col / 2, values, (finish.n - col) / 2, aligned);
    } else {
      if (adds) add_residual<kColumns>(residual + col, values, finish.n - col);
      store<kColumns>(y + col, values, finish.n - col, aligned);
    }
  }
}

template <typename In, typename Bias, typename Out>
void launch(const FinishGemm& finish, const KernelStream& on) {
  const auto address = reinterpret_cast<uintptr_t>(finish.y);
  const bool aligned =
      address % 16 == 0 && finish.y_stride * static_cast<int64_t>(sizeof(Out)) % 16 == 0;
  const int64_t columns = kThreads * kColumns;
  const dim3 grid(static_cast<unsigned>((finish.n + columns - 1) / columns),
                  static_cast<unsigned>(std::min<int64_t>(finish.rows, 65535)));
  launch_kernel(on, {grid, kThreads}, finish_kernel<In, Bias, Out>, finish, aligned);
}

}  // namespace

void finish_gemm(const FinishGemm& finish, const KernelStream& on) {
  using bf16 = __nv_bfloat16;
  if (finish.f32_bias) return launch<float, float, float>(finish, on);
  if (!finish.f32_sums) return launch<bf16, bf16, bf16>(finish, on);
  if (finish.f32_y) return launch<float, bf16, float>(finish, on);
  launch<float, bf16, bf16>(finish, on);
}

}  // namespace braid::kernels::cuda
