#include <algorithm>

#include "comm/cuda/pack.cuh"
#include "comm/cuda/ragged_pieces.cuh"

namespace braid::comm {
namespace {

// Where this member's rows lie among those of all.
struct Segment {
  int64_t first = 0;
  int64_t count = 0;
  int64_t total = 0;
};

__device__ Segment segment_of(const PeerView& peers) {
  Segment segment;
  for (int member = 0; member < peers.size; ++member) {
    const int64_t count = max(peers.counts[member * peers.counts_stride], 0);
    if (member < peers.index) segment.first += count;
    if (member == peers.index) segment.count = count;
    segment.total += count;
  }
  return segment;
}

// Of a segment of a gathered buffer: the rows that are there on both sides.
__device__ int64_t rows_between(int64_t first, int64_t count, int64_t own_rows, int64_t all_rows) {
  return max(min(min(count, own_rows), all_rows - first), int64_t{0});
}

template <typename Unit>
__device__ void push(const PushedRows& rows, const PeerView& peers, const Segment& segment) {
  const bool gaps = rows.in_stride != rows.row_bytes || rows.out_stride != rows.row_bytes;
  const int64_t count = rows_between(segment.first, segment.count, rows.in_rows, rows.out_rows);
  const Pieces pieces(count, rows.row_bytes / int64_t{sizeof(Unit)}, gaps, kPiece);
  const int64_t first = segment.first * rows.out_stride;
#pragma unroll 1
  for (uint32_t piece = blockIdx.x; piece < pieces.count; piece += gridDim.x) {
    const uint32_t row = piece / pieces.per_row;
    const uint32_t at = (piece - row * pieces.per_row) * kPiece + threadIdx.x;
    const auto* in = reinterpret_cast<const Unit*>(rows.in + row * rows.in_stride) + at;
    const auto left = static_cast<int>(pieces.length - at);  // negative where the row ends before
    Unit values[kTurns];
#pragma unroll
    for (int i = 0; i < kTurns; ++i) {
      if (i * kThreads < left) values[i] = in[i * kThreads];
    }
    const int64_t offset = first + row * rows.out_stride + at * int64_t{sizeof(Unit)};
    int member = peers.index;  // each begins with another one
#pragma unroll 1
    do {
      auto* out = reinterpret_cast<Unit*>(
          address_of(peers, static_cast<int>(blockIdx.y), member, rows.out) + offset);
#pragma unroll
      for (int i = 0; i < kTurns; ++i) {
        if (i * kThreads < left) out[i * kThreads] = values[i];
      }
      if (++member == peers.size) member = 0;
    } while (member != peers.index);
  }
}

template <typename Unit>
__device__ void push_and_fill(const PushedRows& rows, const PeerView& peers, const Segment& segment,
                              Unit ones) {
  push<Unit>(rows, peers, segment);
  if (!rows.fill) return;
  fill(rows.out, rows.out_stride, rows.row_bytes, segment.total, rows.out_rows, ones);
}

// blockIdx.y is the buffer.
__global__ void __maxnreg__(kRegisters)
    push_kernel(const __grid_constant__ Pushed pushed, const __grid_constant__ PeerView peers) {
  const Segment segment = segment_of(peers);
  const PushedRows& rows = pushed.buffers[blockIdx.y];
  if (rows.unit == 16) {
    push_and_fill(rows, peers, segment, make_uint4(~0u, ~0u, ~0u, ~0u));
  } else if (rows.unit == 4) {
    push_and_fill(rows, peers, segment, ~0u);
  } else {
    push_and_fill(rows, peers, segment, static_cast<unsigned char>(0xff));
  }
  // The stream writes its next word after a fence of its own. This fence makes every write of this
  // thread visible before the kernel ends.
  __threadfence_system();
}

// A thread's unit of a sum: 16 bytes of T, or one T.
template <typename T>
struct Packed {
  using Unit = uint4;
  static constexpr int kElements = Pack<T>::kElements;
  __device__ static void add(const Unit& bits, float* sum) { Pack<T>::add(bits, sum); }
  __device__ static Unit round(const float* sum) { return Pack<T>::round(sum); }
  __device__ static Unit zero() { return make_uint4(0, 0, 0, 0); }
};

struct OneFloat {
  using Unit = float;
  static constexpr int kElements = 1;
  __device__ static void add(Unit value, float* sum) { *sum += value; }
  __device__ static Unit round(const float* sum) { return *sum; }
  __device__ static Unit zero() { return 0.0f; }
};

struct OneBfloat16 {
  using Unit = unsigned short;
  static constexpr int kElements = 1;
  __device__ static void add(Unit bits, float* sum) {
    *sum += __bfloat162float(__ushort_as_bfloat16(bits));
  }
  __device__ static Unit round(const float* sum) {
    return __bfloat16_as_ushort(__float2bfloat16_rn(*sum));
  }
  __device__ static Unit zero() { return 0; }
};

// Sum of one unit of all members, from −0 on: −0 + x is x, whatever the sign of x.
template <typename Element>
__device__ typename Element::Unit sum_one(const PeerView& peers, std::byte* own, int64_t offset) {
  alignas(16) float sum[Element::kElements];
  for (float& value : sum) value = -0.0f;
#pragma unroll 1
  for (int member = 0; member < peers.size; ++member) {
    const auto* in =
        reinterpret_cast<const typename Element::Unit*>(address_of(peers, 0, member, own) + offset);
    Element::add(__ldcv(in), sum);
  }
  return Element::round(sum);
}

template <typename Element>
__global__ void __maxnreg__(kRegisters)
    sum_kernel(const __grid_constant__ SummedRows rows, const __grid_constant__ PeerView peers) {
  using Unit = typename Element::Unit;
  const Segment segment = segment_of(peers);
  const int64_t count = rows_between(segment.first, segment.count, rows.out_rows, rows.in_rows);
  const int64_t row_units = rows.cols / Element::kElements;
  const int64_t row_bytes = row_units * int64_t{sizeof(Unit)};
  const bool gaps = rows.in_stride != row_bytes || rows.out_stride != row_bytes;
  const Pieces pieces(count, row_units, gaps, kThreads);
  auto* own = const_cast<std::byte*>(rows.in);
#pragma unroll 1
  for (uint32_t piece = blockIdx.x; piece < pieces.count; piece += gridDim.x) {
    const uint32_t row = piece / pieces.per_row;
    const uint32_t at = (piece - row * pieces.per_row) * kThreads + threadIdx.x;
    if (at >= pieces.length) continue;
    const int64_t offset = (segment.first + row) * rows.in_stride + at * int64_t{sizeof(Unit)};
    reinterpret_cast<Unit*>(rows.out + row * rows.out_stride)[at] =
        sum_one<Element>(peers, own, offset);
  }
  fill(rows.out, rows.out_stride, row_bytes, count, rows.out_rows, Element::zero());
}

// The same of two members' packs, with two of each on their way.
template <typename T>
__global__ void __maxnreg__(kRegisters) sum_two_kernel(const __grid_constant__ SummedRows rows,
                                                       const __grid_constant__ PeerView peers) {
  constexpr int kTwo = 2 * kThreads;
  const Segment segment = segment_of(peers);
  const int64_t count = rows_between(segment.first, segment.count, rows.out_rows, rows.in_rows);
  const int64_t row_units = rows.cols / Pack<T>::kElements;
  const int64_t row_bytes = row_units * int64_t{sizeof(uint4)};
  const bool gaps = rows.in_stride != row_bytes || rows.out_stride != row_bytes;
  fill(rows.out, rows.out_stride, row_bytes, count, rows.out_rows, make_uint4(0, 0, 0, 0));
  const Pieces pieces(count, row_units, gaps, kTwo);
  auto* own = const_cast<std::byte*>(rows.in);
  const std::byte* first = address_of(peers, 0, 0, own) + segment.first * rows.in_stride;
  const std::byte* second = address_of(peers, 0, 1, own) + segment.first * rows.in_stride;
#pragma unroll 1
  for (uint32_t piece = blockIdx.x; piece < pieces.count; piece += gridDim.x) {
    const uint32_t row = piece / pieces.per_row;
    const uint32_t at = (piece - row * pieces.per_row) * kTwo + threadIdx.x;
    const int64_t offset = row * rows.in_stride + at * int64_t{sizeof(uint4)};
    const auto* a = reinterpret_cast<const uint4*>(first + offset);
    const auto* b = reinterpret_cast<const uint4*>(second + offset);
    auto* out = reinterpret_cast<uint4*>(rows.out + row * rows.out_stride) + at;
    if (at + kThreads < pieces.length) {
      const uint4 a0 = __ldcv(a), a1 = __ldcv(a + kThreads);
      const uint4 b0 = __ldcv(b), b1 = __ldcv(b + kThreads);
      out[0] = Pack<T>::add_two(a0, b0);
      out[kThreads] = Pack<T>::add_two(a1, b1);
    } else if (at < pieces.length) {
      out[0] = Pack<T>::add_two(__ldcv(a), __ldcv(b));
    }
  }
}

template <typename T, typename One>
void launch_sum(const SummedRows& rows, const PeerView& peers, cudaStream_t stream) {
  if (!rows.packed) {
    sum_kernel<One>
        <<<blocks_for(rows.out_rows * rows.cols, kThreads), kThreads, 0, stream>>>(rows, peers);
    return;
  }
  const int64_t units = rows.out_rows * (rows.cols / Pack<T>::kElements);
  if (peers.size == 2) {
    sum_two_kernel<T><<<blocks_for(units, 2 * kThreads), kThreads, 0, stream>>>(rows, peers);
  } else {
    sum_kernel<Packed<T>><<<blocks_for(units, kThreads), kThreads, 0, stream>>>(rows, peers);
  }
}

bool are_multiples(int64_t unit, std::initializer_list<int64_t> values) {
  return std::all_of(values.begin(), values.end(),
                     [unit](int64_t value) { return value % unit == 0; });
}

int64_t address(const std::byte* data) { return reinterpret_cast<int64_t>(data); }

}  // namespace

int unit_of(const PushedRows& rows) {
  for (const int unit : {16, 4}) {
    if (are_multiples(unit, {address(rows.in), address(rows.out), rows.in_stride, rows.out_stride,
                             rows.row_bytes})) {
      return unit;
    }
  }
  return 1;
}

bool can_pack(const SummedRows& rows) {
  const int64_t width = rows.format == SumFormat::f32 ? 4 : 2;
  return are_multiples(16, {address(rows.in), address(rows.out), rows.in_stride, rows.out_stride,
                            rows.cols * width});
}

void push_rows(const Pushed& rows, const PeerView& peers, cudaStream_t stream) {
  int64_t units = 0;
  for (int buffer = 0; buffer < rows.count; ++buffer) {
    const PushedRows& of = rows.buffers[buffer];
    units = std::max(units, of.in_rows * (of.row_bytes / of.unit));
  }
  const dim3 blocks(blocks_for(units, kPiece), static_cast<unsigned>(rows.count));
  push_kernel<<<blocks, kThreads, 0, stream>>>(rows, peers);
}

void sum_rows(const SummedRows& rows, const PeerView& peers, cudaStream_t stream) {
  if (rows.format == SumFormat::f32) {
    launch_sum<float, OneFloat>(rows, peers, stream);
  } else {
    launch_sum<__nv_bfloat16, OneBfloat16>(rows, peers, stream);
  }
}

}  // namespace braid::comm
