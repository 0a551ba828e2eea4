// The warps that fill the ring with cached keys and values.
#pragma once

#include "kernels/attention/cuda/sm90_decode_step.cuh"

namespace braid::kernels::cuda::sm90_decode {

// Each fills so many positions of every stage. Its lanes find where they are in the cache: lanes i
// and i + 16 the i-th.
inline constexpr uint32_t kFillRows = kHalf / kFillWarps;
static_assert(kFillRows == kWarp / 2);

__device__ inline uint32_t fill_warp() { return threadIdx.x / kWarp - kComputeWarps; }

// Where this warp's positions of a leaf's halves are in the cache, in packs from its start.
struct LeafPlaces {
  static constexpr uint32_t kNone = ~0u;  // behind the last cached position
  uint32_t packs[kHalves];

  __device__ LeafPlaces(const Step& step, const DecodeShare& share, int32_t leaf) {
    const int32_t* pages = step.rows.block_table.row(share.sequence);
    const auto size = static_cast<uint32_t>(step.page_size);
    const uint32_t first = fill_warp() * kFillRows + threadIdx.x % kFillRows;
#pragma unroll
    for (int half = 0; half < kHalves; ++half) {
      const uint32_t position = static_cast<uint32_t>(leaf * kLeafPositions + half * kHalf) + first;
      packs[half] = kNone;
      if (static_cast<int32_t>(position) < share.length - 1) {
        const auto page = static_cast<uint32_t>(pages[position / size]);
        packs[half] =
            (page * size + position % size) * static_cast<uint32_t>(step.cache.stride / kPack);
      }
    }
  }
};

// In one instruction: addresses are most of what filling costs.
__device__ inline const void* packs_behind(const bf16* from, uint32_t packs) {
  uint64_t address;
  asm("mad.wide.u32 %0, %1, 16, %2;"
      : "=l"(address)
      : "r"(packs), "l"(reinterpret_cast<uint64_t>(from)));
  return reinterpret_cast<const void*>(address);
}

// Copies this warp's part of a stage, from the column of the cache that `from` points to; zeros
// where there is no cached position.
template <int kHeadDim>
__device__ inline void fill_stage(uint32_t stage, const bf16* from, uint32_t my_place) {
  using L = Layout<kHeadDim>;
  constexpr uint32_t kRows = kWarp / L::kPacks;  // that the warp copies at a time
  constexpr uint32_t kCopies = kFillRows / kRows;
  const uint32_t lane = threadIdx.x % kWarp, pack = lane % L::kPacks, row = lane / L::kPacks;
  const uint32_t to = stage + fill_warp() * kFillRows * L::kRowBytes;
  const bf16* source = from + pack * kPack;
  const bool all = __all_sync(kAllLanes, my_place != LeafPlaces::kNone);
  uint32_t place[kCopies];
#pragma unroll
  for (uint32_t j = 0; j < kCopies; ++j) {
    place[j] = __shfl_sync(kAllLanes, my_place, j * kRows + row);
  }
  if (all) {
#pragma unroll
    for (uint32_t j = 0; j < kCopies; ++j) {
      copy_16(to + L::place(j * kRows + row, pack), packs_behind(source, place[j]), 16);
    }
  } else {
#pragma unroll
    for (uint32_t j = 0; j < kCopies; ++j) {
      const bool cached = place[j] != LeafPlaces::kNone;
      copy_16(to + L::place(j * kRows + row, pack), packs_behind(source, cached ? place[j] : 0),
              cached ? 16 : 0);
    }
  }
}

template <int kHeadDim>
__device__ inline void fill_leaf(const Step& step, const Ring& ring, RingPlace& at, int32_t head,
                                 int32_t positions, const LeafPlaces& leaf) {
  const int32_t halves = positions > kHalf ? 2 : 1;
  const bf16* from = step.cache.data + head * kHeadDim;
#pragma unroll 1  // a long body would not stay in the instruction cache
  for (int32_t stage = 0; stage < 2 * halves; ++stage) {
    const bool values = stage >= halves, high = halves > 1 && stage % 2 == 1;
    ring.await_free(at);
    fill_stage<kHeadDim>(ring.stage(at), from + (values ? step.num_kv_heads * kHeadDim : 0),
                         high ? leaf.packs[1] : leaf.packs[0]);
    barrier_arrive_after_copies(ring.filled(at));
    ring.advance(at);
  }
}

template <int kHeadDim>
__device__ inline void fill_ring(const Step& step, const Ring& ring) {
  RingPlace at;
  Walk walk(step);
  if (!walk.more()) return;
  int32_t leaf = walk.share.first_leaf;
  int32_t last = leaf + walk.leaves() - 1;
  LeafPlaces places(step, walk.share, leaf);
  while (true) {
    const LeafPlaces mine = places;
    const int32_t head = walk.head(step);
    const int32_t positions = walk.share.length - leaf * kLeafPositions;
    // Find the next leaf's positions before the copies of this one, which may wait for room.
    if (leaf == last) {
      walk.advance(step);
      if (walk.more()) {
        leaf = walk.share.first_leaf;
        last = leaf + walk.leaves() - 1;
      }
    } else {
      ++leaf;
    }
    if (walk.more()) places = LeafPlaces(step, walk.share, leaf);
    fill_leaf<kHeadDim>(step, ring, at, head, positions, mine);
    if (!walk.more()) return;
  }
}

// Blocks take the rows in turn.
__device__ inline void zero_padding(const Step& step, int32_t columns) {
  if (fill_warp() > 0) return;
  for (int64_t row = blockIdx.x; row < step.rows.rows; row += gridDim.x) {
    if (step.rows.sequences[row] >= 0) continue;
    for (int32_t i = static_cast<int32_t>(threadIdx.x % kWarp) * kPack; i < columns;
         i += kWarp * kPack) {
      store_pack<true>(step.out.row(row) + i, kPack, Pack<bf16>{});
    }
  }
}

}  // namespace braid::kernels::cuda::sm90_decode
