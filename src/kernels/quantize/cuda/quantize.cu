#include <algorithm>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/quantize/codec.h"
#include "kernels/quantize/cuda/quantize.h"

namespace braid::kernels::cuda {
namespace {

constexpr unsigned kThreads = 256;

// A thread has kPack columns, as many neighbours as a group needs share its scale. All threads of a
// warp go through the same rounds, so that they can exchange what they found.
template <typename Codec>
__device__ GroupRange range_of_group(GroupRange range) {
#pragma unroll
  for (int step = Codec::kGroup / kPack / 2; step > 0; step /= 2) {
    const uint32_t most = __shfl_xor_sync(kAllLanes, range.most_bits, step);
    const int finite = __shfl_xor_sync(kAllLanes, range.finite ? 1 : 0, step);
    range.merge_most(most);
    range.finite = range.finite && finite != 0;
  }
  return range;
}

// Codes of the `count` ≤ kPack columns from `first` on, a multiple of kPack.
template <typename Codec>
__device__ void store_codes(uint8_t* row, int64_t first, int64_t count, const uint8_t* codes) {
  if constexpr (Codec::kPayload == Payload::fp8) {
    for (int64_t i = 0; i < count; ++i) row[first + i] = codes[i];
  } else {  // codes beyond the columns are 0
    for (int64_t i = 0; i < count; i += 2) {
      row[(first + i) / 2] = static_cast<uint8_t>(codes[i] | codes[i + 1] << 4);
    }
  }
}

// The same where all columns are there and the address allows it: one access.
template <typename Codec>
__device__ void store_all_codes(uint8_t* row, int64_t first, const uint8_t* codes) {
  if constexpr (Codec::kPayload == Payload::fp8) {
    uint2 word;
    memcpy(&word, codes, sizeof(word));
    *reinterpret_cast<uint2*>(row + first) = word;
  } else {
    uint32_t word = 0;
#pragma unroll
    for (int i = 0; i < kPack; ++i) word |= static_cast<uint32_t>(codes[i]) << (4 * i);
    *reinterpret_cast<uint32_t*>(row + first / 2) = word;
  }
}

template <typename Codec>
__device__ void load_codes(const uint8_t* row, int64_t first, int64_t count, uint8_t* codes) {
  for (int64_t i = 0; i < count; ++i) {
    if constexpr (Codec::kPayload == Payload::fp8) {
      codes[i] = row[first + i];
    } else {
      codes[i] = static_cast<uint8_t>(row[(first + i) / 2] >> (i % 2 * 4));
    }
  }
}

template <typename Codec>
__device__ void load_all_codes(const uint8_t* row, int64_t first, uint8_t* codes) {
  if constexpr (Codec::kPayload == Payload::fp8) {
    const uint2 word = *reinterpret_cast<const uint2*>(row + first);
    memcpy(codes, &word, sizeof(word));
  } else {
    const uint32_t word = *reinterpret_cast<const uint32_t*>(row + first / 2);
#pragma unroll
    for (int i = 0; i < kPack; ++i) codes[i] = static_cast<uint8_t>(word >> (4 * i));
  }
}

// The scale of a row, of which thread 0 writes it behind the groups' scales; 1 where rows have
// none. All threads of the block call this.
template <typename Codec, bool kPacked, typename T>
__device__ float scale_row(const T* x, int64_t cols, uint8_t* scales, uint32_t* shared) {
  if constexpr (!Codec::kScalesRows) {
    return 1;
  } else {
    GroupRange range;
    for (int64_t i = int64_t{threadIdx.x} * kPack; i < cols; i += int64_t{kThreads} * kPack) {
      const Pack<T> pack = load_pack<kPacked>(x + i, cols - i);
#pragma unroll
      for (int j = 0; j < kPack; ++j) range.add(widen(pack.values[j]));
    }
    const uint32_t of_warp = __reduce_max_sync(kAllLanes, range.most_bits);
    if (threadIdx.x % kWarp == 0) shared[threadIdx.x / kWarp] = of_warp;
    __syncthreads();
    uint32_t most = 0;
    for (unsigned i = 0; i < kThreads / kWarp; ++i) most = max(most, shared[i]);
    const float scale = row_scale_of(most);
    if (threadIdx.x == 0) store_row_scale(scale, scales + num_groups(Codec::kPayload, cols));
    return scale;
  }
}

template <typename Codec>
__device__ float scale_of_row(const uint8_t* scales, int64_t cols) {
  if constexpr (!Codec::kScalesRows) {
    return 1;
  } else {
    return load_row_scale(scales + num_groups(Codec::kPayload, cols));
  }
}

template <typename T>
struct Quantize {
  int64_t cols;
  Matrix<const T> x;
  QuantizedRows<uint8_t> to;
  Matrix<double> errors;
};

// One block a row.
template <typename Codec, bool kPacked, typename T>
__global__ void __launch_bounds__(kThreads) quantize(Quantize<T> q) {
  start_in_turn();
  __shared__ double shared[2][kWarp];
  __shared__ uint32_t most[kWarp];
  const int64_t row = blockIdx.x;
  uint8_t* payload = q.to.payload.row(row);
  const float row_scale =
      scale_row<Codec, kPacked>(q.x.row(row), q.cols, q.to.scales.row(row), most);
  auto* scales = reinterpret_cast<typename Codec::Scale*>(q.to.scales.row(row));
  double squared_error = 0, squares = 0;
  for (int64_t first = 0; first < q.cols; first += int64_t{kThreads} * kPack) {
    const int64_t i = first + int64_t{threadIdx.x} * kPack;
    const int64_t left = q.cols - i < kPack ? q.cols - i : kPack;
    Pack<T> pack{};
    if (left > 0) pack = load_pack<kPacked>(q.x.row(row) + i, left);
    GroupRange range;
#pragma unroll
    for (int j = 0; j < kPack; ++j) range.add(widen(pack.values[j]));
    const typename Codec::Scale scale = Codec::scale_of(range_of_group<Codec>(range), row_scale);
    if (left <= 0) continue;  // behind the exchange
    if (i % Codec::kGroup == 0) scales[i / Codec::kGroup] = scale;
    const float by = __fmul_rn(Codec::value_of(scale), row_scale);
    uint8_t codes[kPack] = {};
#pragma unroll
    for (int j = 0; j < kPack; ++j) {
      if (j >= left) break;
      const float value = widen(pack.values[j]);
      codes[j] = Codec::code_of(__fdiv_rn(value, by));
      const float back = widen(narrow<T>(__fmul_rn(Codec::element_of(codes[j]), by)));
      const double error = static_cast<double>(back) - static_cast<double>(value);
      squared_error += error * error;
      squares += static_cast<double>(value) * static_cast<double>(value);
    }
    if constexpr (kPacked) {
      store_all_codes<Codec>(payload, i, codes);
    } else {
      store_codes<Codec>(payload, i, left, codes);
    }
  }
  squared_error = block_sum(squared_error, shared[0]);
  squares = block_sum(squares, shared[1]);
  if (threadIdx.x == 0) {
    q.errors.row(row)[0] = squared_error;
    q.errors.row(row)[1] = squares;
  }
}

// One block a row.
template <typename Codec, bool kPacked, typename T>
__global__ void __launch_bounds__(kThreads)
    dequantize(int64_t cols, QuantizedRows<const uint8_t> from, Matrix<T> out) {
  start_in_turn();
  const int64_t row = blockIdx.x;
  const uint8_t* payload = from.payload.row(row);
  const auto* scales = reinterpret_cast<const typename Codec::Scale*>(from.scales.row(row));
  const float row_scale = scale_of_row<Codec>(from.scales.row(row), cols);
  for (int64_t i = int64_t{threadIdx.x} * kPack; i < cols; i += int64_t{kThreads} * kPack) {
    const float by = __fmul_rn(Codec::value_of(scales[i / Codec::kGroup]), row_scale);
    uint8_t codes[kPack] = {};
    if constexpr (kPacked) {
      load_all_codes<Codec>(payload, i, codes);
    } else {
      load_codes<Codec>(payload, i, cols - i < kPack ? cols - i : kPack, codes);
    }
    Pack<T> pack;
#pragma unroll
    for (int j = 0; j < kPack; ++j) {
      pack.values[j] = narrow<T>(__fmul_rn(Codec::element_of(codes[j]), by));
    }
    store_pack<kPacked>(out.row(row) + i, cols - i, pack);
  }
}

// One block: thread t adds up rows t, t + kThreads, …, then the threads' sums are added.
__global__ void __launch_bounds__(kThreads)
    add_errors(int64_t rows, Matrix<const double> errors, Matrix<const int32_t> ids, double* sums) {
  start_in_turn();
  __shared__ double shared[2][kWarp];
  double squared_error = 0, squares = 0;
  for (int64_t row = threadIdx.x; row < rows; row += kThreads) {
    if (ids.row(row)[0] < 0) continue;
    squared_error += errors.row(row)[0];
    squares += errors.row(row)[1];
  }
  squared_error = block_sum(squared_error, shared[0]);
  squares = block_sum(squares, shared[1]);
  if (threadIdx.x == 0) {
    sums[0] += squared_error;
    sums[1] += squares;
  }
}

template <typename T>
bool fits_packs(int64_t cols, Matrix<const T> rows, const void* payload, int64_t payload_stride) {
  constexpr int64_t kAlign = 8;  // of a pack's codes; 4 suffice for nvfp4
  return is_packed(cols, rows) && reinterpret_cast<uintptr_t>(payload) % kAlign == 0 &&
         payload_stride % kAlign == 0;
}

template <typename Codec, typename T>
void launch_quantize(int64_t rows, const Quantize<T>& q, const KernelStream& on) {
  const auto blocks = static_cast<unsigned>(rows);
  if (fits_packs(q.cols, q.x, q.to.payload.data, q.to.payload.stride)) {
    launch_kernel(on, {blocks, kThreads}, quantize<Codec, true, T>, q);
  } else {
    launch_kernel(on, {blocks, kThreads}, quantize<Codec, false, T>, q);
  }
}

template <typename Codec, typename T>
void launch_dequantize(int64_t rows, int64_t cols, const QuantizedRows<const uint8_t>& from,
                       Matrix<T> out, const KernelStream& on) {
  const auto blocks = static_cast<unsigned>(rows);
  const Matrix<const T> to{out.data, out.stride};
  if (fits_packs(cols, to, from.payload.data, from.payload.stride)) {
    launch_kernel(on, {blocks, kThreads}, dequantize<Codec, true, T>, cols, from, out);
  } else {
    launch_kernel(on, {blocks, kThreads}, dequantize<Codec, false, T>, cols, from, out);
  }
}

}  // namespace

template <typename T>
void quantize_rows(const QuantizeRowsDesc& desc, int64_t rows, int64_t cols, Matrix<const T> x,
                   const QuantizedRows<uint8_t>& to, Matrix<double> errors,
                   const KernelStream& on) {
  if (rows == 0 || cols == 0) return;
  const Quantize<T> q{cols, x, to, errors};
  if (desc.payload == Payload::fp8) {
    launch_quantize<Fp8Codec>(rows, q, on);
  } else {
    launch_quantize<Nvfp4Codec>(rows, q, on);
  }
}

template <typename T>
void dequantize_rows(const DequantizeRowsDesc& desc, int64_t rows, int64_t cols,
                     const QuantizedRows<const uint8_t>& from, Matrix<T> out,
                     const KernelStream& on) {
  if (rows == 0 || cols == 0) return;
  if (desc.payload == Payload::fp8) {
    launch_dequantize<Fp8Codec>(rows, cols, from, out, on);
  } else {
    launch_dequantize<Nvfp4Codec>(rows, cols, from, out, on);
  }
}

void sum_errors(int64_t rows, Matrix<const double> errors, Matrix<const int32_t> ids, double* sums,
                const KernelStream& on) {
  if (rows == 0) return;
  launch_kernel(on, {1, kThreads}, add_errors, rows, errors, ids, sums);
}

template void quantize_rows(const QuantizeRowsDesc&, int64_t, int64_t, Matrix<const float>,
                            const QuantizedRows<uint8_t>&, Matrix<double>, const KernelStream&);
template void quantize_rows(const QuantizeRowsDesc&, int64_t, int64_t, Matrix<const bf16>,
                            const QuantizedRows<uint8_t>&, Matrix<double>, const KernelStream&);
template void dequantize_rows(const DequantizeRowsDesc&, int64_t, int64_t,
                              const QuantizedRows<const uint8_t>&, Matrix<float>,
                              const KernelStream&);
template void dequantize_rows(const DequantizeRowsDesc&, int64_t, int64_t,
                              const QuantizedRows<const uint8_t>&, Matrix<bf16>,
                              const KernelStream&);

}  // namespace braid::kernels::cuda
