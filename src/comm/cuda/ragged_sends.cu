#include <algorithm>
#include <limits>

#include "comm/cuda/ragged_pieces.cuh"
#include "comm/cuda/ragged_sends.h"

namespace braid::comm {
namespace {

constexpr uint32_t kAllLanes = 0xffffffffu;

__global__ void tell_kernel(const __grid_constant__ CountTables tables, int32_t room,
                            const __grid_constant__ PeerView peers) {
  const auto to = static_cast<int>(threadIdx.x);
  const int width = table_width(peers.size);
  if (to < width) {
    const int32_t told = to < peers.size ? max(peers.counts[to * peers.counts_stride], 0) : room;
    for (int member = 0; member < peers.size; ++member) {
      tables.of_member[member][peers.index * width + to] = told;
    }
  }
  __threadfence_system();
}

__device__ int32_t scan(int32_t value) {
  const auto lane = static_cast<int>(threadIdx.x);
#pragma unroll
  for (int step = 1; step < kThreads; step *= 2) {
    const int32_t before = __shfl_up_sync(kAllLanes, value, step);
    if (lane >= step) value += before;
  }
  return value;
}

// What lane m keeps of member m for the warp, of one buffer. Lanes without a member have the end of
// the last one.
struct Lane {
  int32_t end;     // rows that go to members 0 … m
  int32_t shift;   // from their numbers here to those there
  uint32_t place;  // of the buffer there; not this member's own
  int32_t room;    // rows that fit there
};

// A row's way, the same for all lanes that ask for the same row.
struct Way {
  std::byte* out;  // row 0 of the buffer there
  int64_t row;     // there
  int64_t room;    // rows that fit there
};

__device__ Way way_of(const PushedRows& rows, const PeerView& peers, const Lane& lane, int member,
                      uint32_t send) {
  const int32_t shift = __shfl_sync(kAllLanes, lane.shift, member);
  const uint32_t place = __shfl_sync(kAllLanes, lane.place, member);
  return {
      member == peers.index ? rows.out : peers.arenas[member] + int64_t{place - 1} * kPlaceBytes,
      static_cast<int64_t>(send) + shift, int64_t{__shfl_sync(kAllLanes, lane.room, member)}};
}

// Rows that a warp has enough of one of; narrower ones it takes several of at a time.
__host__ __device__ bool is_wide(const PushedRows& rows) {
  return rows.row_bytes / rows.unit >= kThreads;
}

// Whether the row is there on both sides: counts too large for a buffer are cut off at its end.
__device__ bool is_there(const PushedRows& rows, int64_t from, const Way& way) {
  return from >= 0 && from < rows.in_rows && way.row < way.room;
}

__device__ int64_t row_of(const Sends& sends, uint32_t send) {
  return sends.source == nullptr ? int64_t{send} : int64_t{sends.source[send]};
}

// A warp takes a piece of one row at a time.
template <typename Unit>
__device__ void send_wide(const PushedRows& rows, const Sends& sends, const PeerView& peers,
                          const Lane& lane, uint32_t count) {
  const auto length = static_cast<uint32_t>(rows.row_bytes / int64_t{sizeof(Unit)});
  const uint32_t per_row = (length + kPiece - 1) / kPiece;
#pragma unroll 1
  for (uint32_t piece = blockIdx.x; piece < count * per_row; piece += gridDim.x) {
    const uint32_t send = piece / per_row;
    const uint32_t at = (piece - send * per_row) * kPiece + threadIdx.x;
    const int member = __popc(__ballot_sync(kAllLanes, lane.end <= static_cast<int32_t>(send)));
    const Way way = way_of(rows, peers, lane, member, send);
    const int64_t from = row_of(sends, send);
    if (!is_there(rows, from, way)) continue;  // for all lanes
    const auto* in = reinterpret_cast<const Unit*>(rows.in + from * rows.in_stride) + at;
    auto* out = reinterpret_cast<Unit*>(way.out + way.row * rows.out_stride) + at;
    const auto left = static_cast<int>(length - at);  // negative where the row ends before
    Unit values[kTurns];
#pragma unroll
    for (int i = 0; i < kTurns; ++i) {
      if (i * kThreads < left) values[i] = in[i * kThreads];
    }
#pragma unroll
    for (int i = 0; i < kTurns; ++i) {
      if (i * kThreads < left) out[i * kThreads] = values[i];
    }
  }
}

// Each lane takes one unit of any row.
template <typename Unit>
__device__ void send_narrow(const PushedRows& rows, const Sends& sends, const PeerView& peers,
                            const Lane& lane, uint32_t count) {
  const auto length = static_cast<uint32_t>(rows.row_bytes / int64_t{sizeof(Unit)});
  const uint32_t units = count * length;
#pragma unroll 1
  for (uint32_t first = blockIdx.x * kThreads; first < units; first += gridDim.x * kThreads) {
    const uint32_t unit = min(first + threadIdx.x, units - 1);  // all lanes look; some twice
    const uint32_t send = unit / length;
    int member = 0;
#pragma unroll 1
    for (int m = 0; m < peers.size; ++m) {
      const int32_t end = __shfl_sync(kAllLanes, lane.end, m);
      member += end <= static_cast<int32_t>(send) ? 1 : 0;
    }
    const Way way = way_of(rows, peers, lane, member, send);
    const int64_t from = row_of(sends, send);
    if (is_there(rows, from, way) && first + threadIdx.x < units) {
      const uint32_t at = unit - send * length;
      reinterpret_cast<Unit*>(way.out + way.row * rows.out_stride)[at] =
          reinterpret_cast<const Unit*>(rows.in + from * rows.in_stride)[at];
    }
    __syncwarp();
  }
}

template <typename Unit>
__device__ void send_and_fill(const PushedRows& rows, const Sends& sends, const PeerView& peers,
                              const Lane& lane, uint32_t count, int32_t arrived, Unit ones) {
  if (is_wide(rows)) {
    send_wide<Unit>(rows, sends, peers, lane, count);
  } else {
    send_narrow<Unit>(rows, sends, peers, lane, count);
  }
  if (rows.fill) fill(rows.out, rows.out_stride, rows.row_bytes, arrived, rows.out_rows, ones);
}

// blockIdx.y is the buffer.
__global__ void __maxnreg__(kRegisters)
    send_kernel(const __grid_constant__ Pushed pushed, const __grid_constant__ Sends sends,
                const __grid_constant__ PeerView peers) {
  const PushedRows& rows = pushed.buffers[blockIdx.y];
  const auto other = static_cast<int>(threadIdx.x);
  SendCounts counts;
  uint32_t place = 0;
  int32_t room = 0;
  if (other < peers.size) {
    // Written by peers while kernels ran here: never from a cache that does not see that.
    const auto at = [&](int from, int to) {
      return __ldcv(sends.table + from * table_width(peers.size) + to);
    };
    counts = counts_with(at, peers.index, other);
    room = at(other, peers.size);
    place = __ldcv(peers.places + static_cast<int>(blockIdx.y) * peers.size + other);
  }
  const int32_t end = scan(counts.sent);
  const Lane lane{end, shift_of(counts, end), place, room};
  const int32_t arrived = __reduce_add_sync(kAllLanes, counts.arrived);
  if (sends.received != nullptr && blockIdx.x == 0 && blockIdx.y == 0 && other < peers.size) {
    sends.received[other] = counts.arrived;
  }
  const int32_t total = __shfl_sync(kAllLanes, end, kThreads - 1);
  const auto count = static_cast<uint32_t>(min(int64_t{total}, sends.most));
  if (rows.unit == 16) {
    send_and_fill(rows, sends, peers, lane, count, arrived, make_uint4(~0u, ~0u, ~0u, ~0u));
  } else if (rows.unit == 4) {
    send_and_fill(rows, sends, peers, lane, count, arrived, ~0u);
  } else {
    send_and_fill(rows, sends, peers, lane, count, arrived, static_cast<unsigned char>(0xff));
  }
  __threadfence_system();  // as behind a gather's
}

}  // namespace

void tell_counts(const CountTables& tables, int64_t room, const PeerView& peers,
                 cudaStream_t stream) {
  static_assert(table_width(kMaxMembers) <= kThreads);
  const auto most = int64_t{std::numeric_limits<int32_t>::max()};
  tell_kernel<<<1, kThreads, 0, stream>>>(tables, static_cast<int32_t>(std::min(room, most)),
                                          peers);
}

void send_rows(const Pushed& rows, const Sends& sends, const PeerView& peers, cudaStream_t stream) {
  int64_t pieces = 1;
  for (int buffer = 0; buffer < rows.count; ++buffer) {
    const PushedRows& of = rows.buffers[buffer];
    const int64_t units = of.row_bytes / of.unit;
    const int64_t of_row = (units + kPiece - 1) / kPiece;
    const int64_t of_all = (sends.most * units + kThreads - 1) / kThreads;
    pieces = std::max(pieces, is_wide(of) ? sends.most * of_row : of_all);
  }
  const dim3 blocks(blocks_for(pieces, 1), static_cast<unsigned>(rows.count));
  send_kernel<<<blocks, kThreads, 0, stream>>>(rows, sends, peers);
}

}  // namespace braid::comm
