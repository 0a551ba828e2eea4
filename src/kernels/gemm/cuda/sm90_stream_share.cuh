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

// A block's copy of offsets and choices in shared memory.
struct StreamInputs {
  int32_t* offsets;
  int32_t* places;  // [num_rows, num_places]; by row
  float* weights;

  __device__ explicit StreamInputs(uint8_t* memory)
      : offsets(reinterpret_cast<int32_t*>(memory)),
        places(offsets + StreamGroupedLayout::kMostInputs),
        weights(reinterpret_cast<float*>(places + StreamGroupedLayout::kMostInputs)) {}

  // The first kMostInputs threads, one word of each; __syncthreads() follows.
  template <bool kByRow>
  __device__ void read(const StreamGroupedParams& p) const {
    const auto thread = static_cast<int32_t>(threadIdx.x);
    if (thread <= p.num_slots) offsets[thread] = __ldcg(p.offsets + thread);
    if constexpr (kByRow) {
      const StreamedChoices& c = p.choices;
      const int32_t row = thread / c.num_places;
      const int32_t k = thread - row * c.num_places;
      if (row >= c.num_rows) return;
      places[thread] = __ldcg(c.places + row * c.places_stride + k);
      weights[thread] = k < c.top_k ? __ldcg(c.weights + row * c.weights_stride + k) : 1.0f;
    }
  }
};

// Where the rows of all slots begin, some slots that follow one another in each lane. There is
// little code, and no loop: a kernel meets its code anew each time, as it does memory.
class WarpOffsets {
 public:
  static constexpr int kOfLane = StreamGroupedLayout::kMostInputs / kWarp;

  __device__ WarpOffsets(const StreamInputs& inputs, int32_t num_slots) {
    const int32_t first = static_cast<int32_t>(threadIdx.x) % kWarp * kOfLane;
#pragma unroll
    for (int i = 0; i <= kOfLane; ++i) begins_[i] = inputs.offsets[min(first + i, num_slots)];
  }

  // Lists of at most kRows rows that this lane's slots make.
  template <int kRows>
  __device__ int32_t lists() const {
    int32_t sum = 0;
#pragma unroll
    for (int i = 0; i < kOfLane; ++i) sum += lists_of<kRows>(i);
    return sum;
  }
  // The `index`-th list of lane `lane`, which has that many; called by all lanes.
  template <int kRows>
  __device__ StreamList list(int32_t lane, int32_t index) const {
    StreamList found{0, 0, 0};
#pragma unroll
    for (int i = 0; i < kOfLane; ++i) {
      const int32_t lists = lists_of<kRows>(i);
      if (index >= 0 && index < lists) {
        found.slot = static_cast<int32_t>(threadIdx.x) % kWarp * kOfLane + i;
        found.first_row = begins_[i] + index * kRows;
        found.num_rows = min(kRows, begins_[i + 1] - found.first_row);
      }
      index -= lists;
    }
    return {__shfl_sync(kAllLanes, found.slot, lane), __shfl_sync(kAllLanes, found.first_row, lane),
            __shfl_sync(kAllLanes, found.num_rows, lane)};
  }

  // The slot whose rows a lane's place is among; called by all lanes.
  __device__ int32_t slot_of(int32_t place) const {
    int32_t lane = 0;
#pragma unroll
    for (int step = kWarp / 2; step > 0; step /= 2) {
      if (__shfl_sync(kAllLanes, begins_[0], lane + step) <= place) lane += step;
    }
    int32_t slot = lane * kOfLane;
#pragma unroll
    for (int i = 1; i < kOfLane; ++i) {
      if (__shfl_sync(kAllLanes, begins_[i], lane) <= place) ++slot;
    }
    return slot;
  }

 private:
  template <int kRows>
  __device__ int32_t lists_of(int i) const {
    return (begins_[i + 1] - begins_[i] + kRows - 1) / kRows;
  }

  int32_t begins_[kOfLane + 1];
};

// Makes the block's lists of at most kRows of the slots' rows, in the warp's own `lists`, with
// kColumns columns a tile.
template <int kRows, int kColumns>
__device__ StreamShare share_of_slots(const StreamGroupedParams& p, const StreamInputs& inputs,
                                      StreamList* lists) {
  const WarpOffsets offsets(inputs, p.num_slots);
  const int32_t own = offsets.lists<kRows>();
  const int32_t up_to_own = warp_scan(own);
  const int32_t all = __shfl_sync(kAllLanes, up_to_own, kWarp - 1);
  const int32_t columns = p.n / kColumns;
  const Stretch tiles(static_cast<uint32_t>(all * columns));
  const auto first_tile = static_cast<int32_t>(tiles.first);
  const auto num_tiles = static_cast<int32_t>(tiles.last - tiles.first);
  const int32_t first_list = first_tile / columns;
  const int32_t first_column = first_tile - first_list * columns;
  const int32_t end_list = min(all, (first_tile + num_tiles + columns - 1) / columns);
#pragma unroll 1
  for (int32_t index = first_list; index < end_list; ++index) {
    const int32_t lane = __ffs(__ballot_sync(kAllLanes, up_to_own > index)) - 1;
    const int32_t before = __shfl_sync(kAllLanes, up_to_own - own, lane);
    const StreamList list = offsets.list<kRows>(lane, index - before);
    if (threadIdx.x % kWarp == 0) lists[index - first_list] = list;
  }
  __syncwarp();
  return {num_tiles, 0, first_column, columns, lists, nullptr};
}

// Tiles before the first one whose work begins at `work` or behind it; a tile's work is its
// products, or one where it has none.
__device__ inline int32_t tiles_before(const StreamList* lists, int32_t num_rows, int32_t columns,
                                       int32_t work) {
  int32_t tiles = 0;
#pragma unroll 1
  for (int32_t row = 0; row < num_rows; ++row, tiles += columns) {
    const int32_t products = max(lists[row].num_rows, 1);
    if (work < products * columns) return tiles + (work + products - 1) / products;
    work -= products * columns;
  }
  return tiles;
}

// Makes the lists of all rows of y, each of at most kRows members, in the warp's own memory, and
// gives the block an equal part of their products.
template <int kRows, int kColumns>
__device__ StreamShare share_of_rows(const StreamGroupedParams& p, const StreamInputs& inputs,
                                     StreamList* lists, StreamMember* members) {
  const StreamedChoices& c = p.choices;
  const WarpOffsets offsets(inputs, p.num_slots);
  const auto lane = static_cast<int32_t>(threadIdx.x) % kWarp;
  int32_t work = 0;
#pragma unroll 1
  for (int32_t row = 0; row < c.num_rows; ++row) {
    const int32_t at = row * c.num_places + lane;
    const int32_t place = lane < c.num_places ? inputs.places[at] : -1;
    const uint32_t present = __ballot_sync(kAllLanes, place >= 0);
    const int32_t slot = offsets.slot_of(place);
    if (place >= 0) {
      members[row * kRows + __popc(present & ((1u << lane) - 1u))] = {place, slot,
                                                                      inputs.weights[at]};
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
