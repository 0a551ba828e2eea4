// Which tiles a block of the streaming grouped GEMM has. Every warp finds that out for itself, as
// soon as the kernel in front has ended: none waits for another before the first weights are asked
// for.
#pragma once

#include "kernels/cuda/device.cuh"
#include "kernels/gemm/cuda/sm90_stream_grouped.h"

namespace braid::kernels::cuda::sm90 {

// A list of a block: rows of one slot, or by row the present places of row `first_row` of y.
struct alignas(16) StreamList {
  int32_t slot;
  int32_t first_row;
  int32_t num_rows;
};

// By row: one row of a list.
struct alignas(16) StreamMember {
  int32_t x_row;
  int32_t slot;
  float weight;
};
static_assert(sizeof(StreamList) == StreamGroupedLayout::kListBytes &&
              sizeof(StreamMember) == StreamGroupedLayout::kMemberBytes);

// The tiles of a block: `num_tiles` from column tile `first_column` of list `first_list` on.
struct StreamShare {
  int32_t num_tiles;
  int32_t first_list;
  int32_t first_column;
  int32_t columns;  // column tiles of a list
  const StreamList* lists;
  const StreamMember* members;

  // body(list, its index, column, end): the column tiles that the block has of each list.
  template <typename Body>
  __device__ void for_each_list(Body body) const {
    int32_t column = first_column;
    for (int32_t index = first_list, left = num_tiles; left > 0; ++index) {
      const int32_t end = min(columns, column + left);
      body(lists[index], index, column, end);
      left -= end - column;
      column = 0;
    }
  }
};

// This block's stretch of `all` pieces of work: as many as any other's, or one more.
struct Stretch {
  uint32_t first;
  uint32_t last;

  __device__ explicit Stretch(uint32_t all) {
    const uint32_t each = all / gridDim.x;
    const uint32_t more = all % gridDim.x;
    first = blockIdx.x * each + min(blockIdx.x, more);
    last = first + each + (blockIdx.x < more ? 1 : 0);
  }
};

// Makes the block's lists of at most kRows of the slots' rows, in the warp's own `lists`, with
// kColumns columns a tile.
template <int kRows, int kColumns>
__device__ StreamShare share_of_slots(const StreamGroupedParams& p, StreamList* lists) {
  // Each lane has some slots that follow one another.
  const int32_t per_lane = (p.num_slots + kWarp - 1) / kWarp;
  const int32_t first_slot = min(static_cast<int32_t>(threadIdx.x) % kWarp * per_lane, p.num_slots);
  const int32_t last_slot = min(first_slot + per_lane, p.num_slots);
  const int32_t begin = p.offsets[first_slot];
  int32_t own = 0;
  int32_t row = begin;
#pragma unroll 4
  for (int32_t slot = first_slot; slot < last_slot; ++slot) {
    const int32_t end = p.offsets[slot + 1];
    own += (end - row + kRows - 1) / kRows;
    row = end;
  }
  const int32_t up_to_own = warp_scan(own);
  const int32_t all = __shfl_sync(kAllLanes, up_to_own, kWarp - 1);

  const int32_t columns = p.n / kColumns;
  const Stretch tiles(static_cast<uint32_t>(all * columns));
  const auto first_tile = static_cast<int32_t>(tiles.first);
  const auto num_tiles = static_cast<int32_t>(tiles.last - tiles.first);
  const int32_t first_list = first_tile / columns;
  const int32_t first_column = first_tile - first_list * columns;
  const int32_t num_lists = (first_column + num_tiles + columns - 1) / columns;
  int32_t index = up_to_own - own - first_list;
  row = begin;
#pragma unroll 4
  for (int32_t slot = first_slot; slot < last_slot; ++slot) {
    const int32_t end = p.offsets[slot + 1];
    for (; row < end; row += kRows, ++index) {
      if (index < 0 || index >= num_lists) continue;
      lists[index] = {slot, row, min(kRows, end - row)};
    }
    row = end;
  }
  __syncwarp();
  return {num_tiles, 0, first_column, columns, lists, nullptr};
}

// The offsets of all slots, some in each lane.
class WarpOffsets {
 public:
  static constexpr int kMostOfLane = StreamGroupedLayout::kMostSlotsByRow / kWarp;

  __device__ explicit WarpOffsets(const StreamGroupedParams& p)
      : of_lane_((p.num_slots + kWarp - 1) / kWarp) {
    const int32_t first = static_cast<int32_t>(threadIdx.x) % kWarp * of_lane_;
#pragma unroll
    for (int i = 0; i < kMostOfLane; ++i) {
      if (i < of_lane_) begins_[i] = __ldcg(p.offsets + min(first + i, p.num_slots));
    }
  }

  // The slot whose rows a lane's place is among; called by all lanes.
  __device__ int32_t slot_of(int32_t place) const {
    int32_t lane = 0;
#pragma unroll
    for (int step = kWarp / 2; step > 0; step /= 2) {
      if (__shfl_sync(kAllLanes, begins_[0], lane + step) <= place) lane += step;
    }
    int32_t slot = lane * of_lane_;
#pragma unroll
    for (int i = 1; i < kMostOfLane; ++i) {
      if (i >= of_lane_) break;
      if (__shfl_sync(kAllLanes, begins_[i], lane) <= place) ++slot;
    }
    return slot;
  }

 private:
  int32_t of_lane_;
  int32_t begins_[kMostOfLane];
};

// Tiles before the first one whose work begins at `work` or behind it; a tile's work is its
// products, or one where it has none.
__device__ inline int32_t tiles_before(const StreamList* lists, int32_t num_rows, int32_t columns,
                                       int32_t work) {
  int32_t tiles = 0;
  for (int32_t row = 0; row < num_rows && work > 0; ++row) {
    const int32_t products = max(lists[row].num_rows, 1);
    const int32_t whole = products * columns;
    tiles += work >= whole ? columns : (work + products - 1) / products;
    work -= whole;
  }
  return tiles;
}

// Makes the lists of all rows of y, each of at most kRows members, in the warp's own memory, and
// gives the block an equal part of their products.
template <int kRows, int kColumns>
__device__ StreamShare share_of_rows(const StreamGroupedParams& p, StreamList* lists,
                                     StreamMember* members) {
  const StreamedChoices& c = p.choices;
  const WarpOffsets offsets(p);
  const auto lane = static_cast<int32_t>(threadIdx.x) % kWarp;
  int32_t work = 0;
  for (int32_t row = 0; row < c.num_rows; ++row) {
    const int32_t place =
        lane < c.num_places ? __ldcg(c.places + row * c.places_stride + lane) : -1;
    const float weight = lane < c.top_k ? __ldcg(c.weights + row * c.weights_stride + lane) : 1.0f;
    const uint32_t present = __ballot_sync(kAllLanes, place >= 0);
    const int32_t slot = offsets.slot_of(place);
    if (place >= 0) {
      members[row * kRows + __popc(present & ((1u << lane) - 1u))] = {place, slot, weight};
    }
    if (lane == 0) lists[row] = {-1, row, __popc(present)};
    work += max(__popc(present), 1);
  }
  __syncwarp();
  const int32_t columns = p.n / kColumns;
  const Stretch products(static_cast<uint32_t>(work * columns));
  const auto before = [&](uint32_t product) {
    return tiles_before(lists, c.num_rows, columns, static_cast<int32_t>(product));
  };
  const int32_t first = before(products.first);
  const int32_t last = before(products.last);
  return {last - first, first / columns, first % columns, columns, lists, members};
}

}  // namespace braid::kernels::cuda::sm90
