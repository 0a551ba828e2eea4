// y = epilogue(x[source] · W[slot]ᵀ) for few rows a slot, at the speed at which weights are read;
// or by row, the weighted sum of a row's products (sm90_stream_grouped.h).
//
// Rows of a slot are cut into lists of at most 8 or 16. A tile is a list by 8 rows of W, or 16
// where K is short; each block has an equal stretch of all tiles, list by list, so that it keeps a
// list's rows of x in registers while it passes over W. By row, a list is the places of one row of
// y, each of another slot, and a tile has a product for each. A block's warps have three roles:
//   fill      one thread copies boxes of W into a ring of stages
//   multiply  eight warps share the columns of every box, and with them K
//   merge     one warp adds the eight parts in their order and writes y
// Which columns a warp has, and the order of all sums, follow from K alone: a row of y has the same
// bits in whatever list it is, and by row.
#pragma once

#include <algorithm>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/partial_tiles.cuh"
#include "kernels/gemm/cuda/elements.cuh"
#include "kernels/gemm/cuda/sm90_stream_share.cuh"

namespace braid::kernels::cuda::sm90 {

inline constexpr int kFillWarp = kSumWarps;
inline constexpr int kMergeWarp = kSumWarps + 1;
inline constexpr int kGroupedWarps = kSumWarps + 2;
inline constexpr int kStepsOfBlock = kBlockColumns / kStepColumns;

static_assert(kMergeWarp * kWarp == StreamGroupedLayout::kMostInputs);
static_assert(kBlockBytes == 1024 && Ring::kBarrierBytes == 16 &&
                  kGroupedWarps == StreamGroupedLayout::kWarps,
              "as StreamGroupedLayout has it");

template <int kRowsOfList, int kTilesOfBox, int kBoxesOfTile, int kBlocksOfWarp, bool kIsByRow>
struct StreamForm {
  static constexpr StreamGroupedForm form() {
    return {kRowsOfList, kTilesOfBox, kBoxesOfTile, kBlocksOfWarp, kIsByRow};
  }
  static constexpr int kRows = kRowsOfList;
  static constexpr int kTiles = kTilesOfBox;
  static constexpr int kColumns = kTiles * kBoxRows;  // of y, or of the sums that SwiGLU takes
  static constexpr int kBoxes = kBoxesOfTile;         // 0: x is streamed
  static constexpr int kWarpBlocks = kBlocksOfWarp;
  static constexpr bool kByRow = kIsByRow;
  static constexpr int kHalves = kRows / 8;
  // Tiles for which streamed rows of x are read once.
  static constexpr int kGroup = kBoxes == 0 ? 8 : 1;
  static constexpr int kKeptBlocks = std::max(kBoxes, 1) * kWarpBlocks;
  using Parts = PartialTiles<kRows, kTiles>;
};

// One thread: boxes of W for all tiles, in the order in which they are multiplied.
template <class F>
__device__ void fill(const CUtensorMap& weights, const StreamGroupedParams& p,
                     const StreamShare& share, const Ring& ring) {
  const uint64_t policy = evict_first();
  const uint32_t bytes = static_cast<uint32_t>(p.box_blocks) * F::kTiles * kBlockBytes;
  const int32_t blocks = p.k / kBlockColumns;
  RingPlace at;
  const auto copy = [&](int32_t row, int32_t block) {
    ring.await_free(at, bytes);
    copy_box(ring.stage(at), weights, 0, row, block, ring.filled(at), policy);
    ring.advance(at);
  };
  share.for_each_list([&](const StreamList list, int32_t index, int32_t column, int32_t end) {
    for (; column < end; column += F::kGroup) {
      const int32_t in_slot = column * F::kColumns;
      if constexpr (F::kByRow) {
        const StreamMember* const members = share.members + index * F::kRows;
        for (int32_t i = 0; i < list.num_rows; ++i) {
          const int32_t row = members[i].slot * p.n + in_slot;
          for (int32_t block = 0; block < blocks; block += p.box_blocks) copy(row, block);
        }
      } else {
        const int32_t row = list.slot * p.n + in_slot;
        const int32_t count = min(F::kGroup, end - column);
        for (int32_t block = 0; block < blocks; block += p.box_blocks) {
          for (int32_t j = 0; j < count; ++j) copy(row + j * F::kColumns, block);
        }
      }
    }
  });
}

// The blocks of a box that a warp multiplies.
struct WarpBlocks {
  int32_t first;
  int32_t count;

  __device__ WarpBlocks(int32_t box_blocks, int32_t warp) {
    const int32_t more = box_blocks % kSumWarps;  // warps that have one more than the others
    count = box_blocks / kSumWarps + (warp < more ? 1 : 0);
    first = box_blocks / kSumWarps * warp + min(warp, more);
  }
};

// This lane's parts of rows g and g + 8 of a list, of the warp's blocks of some boxes.
template <class F>
struct KeptRows {
  static constexpr int kSteps = F::kKeptBlocks * kStepsOfBlock;
  uint4 low[kSteps];
  uint4 high[F::kHalves == 2 ? kSteps : 1];

  __device__ uint4 high_of(int step) const {
    return F::kHalves == 2 ? high[F::kHalves == 2 ? step : 0] : make_uint4(0, 0, 0, 0);
  }
};

// Row `row` of a list, of x; null behind its end.
template <class F>
__device__ const uint8_t* row_of(const StreamGroupedParams& p, const StreamShare& share,
                                 int32_t list_index, int32_t row) {
  const StreamList list = share.lists[list_index];
  if (row >= list.num_rows) return nullptr;
  int64_t index = list.first_row + row;
  if constexpr (F::kByRow) {
    index = share.members[list_index * F::kRows + row].x_row;
  } else if (p.source != nullptr) {
    index = p.source[index];
  }
  return static_cast<const uint8_t*>(p.x.data) + index * p.x.stride * 2;
}

// Reads kCount boxes' worth of blocks from box `box` on; zeros behind K and behind the list's end.
template <class F, int kCount>
__device__ void read_rows(const StreamGroupedParams& p, const WarpBlocks& own, int32_t box,
                          const uint8_t* row, uint4* kept) {
  const int32_t blocks = p.k / kBlockColumns;
  const uint32_t lane_bytes = threadIdx.x % 4 * 16;
#pragma unroll
  for (int i = 0; i < kCount * F::kWarpBlocks; ++i) {
    const int32_t in_box = i % F::kWarpBlocks;
    const int32_t block = (box + i / F::kWarpBlocks) * p.box_blocks + own.first + in_box;
    const bool present = row != nullptr && in_box < own.count && block < blocks;
#pragma unroll
    for (int step = 0; step < kStepsOfBlock; ++step) {
      uint4 value = make_uint4(0, 0, 0, 0);
      if (present) {
        value = *reinterpret_cast<const uint4*>(row + block * (kBlockColumns * 2) +
                                                step * (kStepColumns * 2) + lane_bytes);
      }
      kept[i * kStepsOfBlock + step] = value;
    }
  }
}

template <class F>
__device__ void read_list(const StreamGroupedParams& p, const StreamShare& share,
                          const WarpBlocks& own, int32_t list, int32_t box, KeptRows<F>& kept) {
  constexpr int kCount = F::kBoxes == 0 ? 1 : F::kBoxes;
  const auto g = static_cast<int32_t>(threadIdx.x % 32 / 4);
  read_rows<F, kCount>(p, own, box, row_of<F>(p, share, list, g), kept.low);
  if constexpr (F::kHalves == 2) {
    read_rows<F, kCount>(p, own, box, row_of<F>(p, share, list, g + 8), kept.high);
  }
}

// This lane's part of a warp's blocks in a box. Where a warp has fewer blocks than others, it reads
// one of its own again, which then meets zeros of x: without a branch all reads go out at once.
template <class F>
class OwnSteps {
 public:
  __device__ explicit OwnSteps(const WarpBlocks& own) {
#pragma unroll
    for (int block = 0; block < F::kWarpBlocks; ++block) {
      const int32_t present = block < own.count ? own.first + block : own.count > 0 ? own.first : 0;
      readers_[block] = BoxReader(present * F::kTiles * kStepsOfBlock);
    }
  }
  __device__ uint4 read(uint32_t stage, int tile, int block, int step) const {
    return readers_[block].read(stage + tile * kBlockBytes, step);
  }

 private:
  BoxReader readers_[F::kWarpBlocks];
};

// Adds the warp's blocks of the next stage, with rows of x from step `first` of the kept ones on.
template <class F>
__device__ __forceinline__ void add_box(const Ring& ring, RingPlace& at, const OwnSteps<F>& own,
                                        const KeptRows<F>& kept, int first,
                                        TileSums (&sums)[F::kTiles]) {
  ring.await_filled(at);
  constexpr int kSteps = F::kWarpBlocks * kStepsOfBlock;
  uint4 weights[F::kTiles][kSteps];
#pragma unroll
  for (int i = 0; i < F::kTiles * kSteps; ++i) {
    const int tile = i % F::kTiles, step = i / F::kTiles;
    weights[tile][step] =
        own.read(ring.stage(at), tile, step / kStepsOfBlock, step % kStepsOfBlock);
  }
#pragma unroll
  for (int i = 0; i < F::kTiles * kSteps; ++i) {
    const int tile = i % F::kTiles, step = i / F::kTiles;
    sums[tile].add(kept.low[first + step], kept.high_of(first + step), weights[tile][step]);
  }
  const float odd = F::kTiles == 1 ? sums[0].odd[0] : sums[0].odd[0] + sums[F::kTiles - 1].odd[0];
  const float even =
      F::kTiles == 1 ? sums[0].even[0] : sums[0].even[0] + sums[F::kTiles - 1].even[0];
  ring.release(at, even, odd);
  ring.advance(at);
}

// A warp of the sums, where it keeps a list's rows of x.
template <class F>
__device__ void multiply_kept(const StreamGroupedParams& p, const StreamShare& share,
                              const Ring& ring, typename F::Parts& parts, int32_t warp) {
  const WarpBlocks own(p.box_blocks, warp);
  const OwnSteps<F> steps(own);
  RingPlace at;
  share.for_each_list([&](const StreamList list, int32_t index, int32_t column, int32_t end) {
    KeptRows<F> kept;
    read_list<F>(p, share, own, index, 0, kept);
    const int32_t products = F::kByRow ? list.num_rows : 1;
    for (; column < end; ++column) {
      for (int32_t product = 0; product < products; ++product) {
        TileSums sums[F::kTiles];
#pragma unroll
        for (int box = 0; box < F::kBoxes; ++box) {
          add_box<F>(ring, at, steps, kept, box * F::kWarpBlocks * kStepsOfBlock, sums);
        }
        if constexpr (F::kByRow) {
          parts.put_row(warp, sums, product);
        } else {
          parts.put(warp, sums);
        }
      }
    }
  });
}

// The same where K is too long for that: rows are read box by box, each for a group of tiles.
template <class F>
__device__ void multiply_streamed(const StreamGroupedParams& p, const StreamShare& share,
                                  const Ring& ring, typename F::Parts& parts, int32_t warp) {
  const WarpBlocks own(p.box_blocks, warp);
  const OwnSteps<F> steps(own);
  const int32_t boxes = (p.k / kBlockColumns + p.box_blocks - 1) / p.box_blocks;
  RingPlace at;
  share.for_each_list([&](const StreamList, int32_t index, int32_t column, int32_t end) {
    for (; column < end; column += F::kGroup) {
      const int32_t count = min(F::kGroup, end - column);
      TileSums sums[F::kGroup][F::kTiles];
      for (int32_t box = 0; box < boxes; ++box) {
        KeptRows<F> kept;
        read_list<F>(p, share, own, index, box, kept);
#pragma unroll
        for (int j = 0; j < F::kGroup; ++j) {
          if (j < count) add_box<F>(ring, at, steps, kept, 0, sums[j]);
        }
      }
#pragma unroll
      for (int j = 0; j < F::kGroup; ++j) {
        if (j < count) parts.put(warp, sums[j]);
      }
    }
  });
}

// The merging warp. `y` is where this lane's columns of the list's row g are in the tile.
template <class F, bool kSwiglu, typename Out>
__device__ void merge_list(const StreamGroupedParams& p, typename F::Parts& parts, int32_t num_rows,
                           int32_t num_tiles, Out* y) {
  constexpr int kBoxColumns = kSwiglu ? kBoxRows / 2 : kBoxRows;
  const auto g = static_cast<int32_t>(threadIdx.x % 32 / 4);
  const int64_t half_stride = 8 * p.y_stride;
  for (int32_t i = 0; i < num_tiles; ++i, y += F::kTiles * kBoxColumns) {
    float2 sums[F::kTiles * F::kHalves];
    parts.take(sums);
#pragma unroll
    for (int j = 0; j < F::kTiles * F::kHalves; ++j) {
      const int half = j % F::kHalves;
      if (g + half * 8 >= num_rows) continue;
      Out* const to = y + j / F::kHalves * kBoxColumns + half * half_stride;
      if constexpr (kSwiglu) {
        *to = from_f32<Out>(silu(sums[j].x) * sums[j].y);
      } else {
        store_pair(to, sums[j].x, sums[j].y);
      }
    }
  }
}

template <class F>
__device__ void merge_lists(const StreamGroupedParams& p, const StreamShare& share,
                            typename F::Parts& parts) {
  const auto lane = static_cast<int32_t>(threadIdx.x % 32);
  share.for_each_list([&](const StreamList list, int32_t, int32_t column, int32_t end) {
    const auto merge = [&]<bool kSwiglu, typename Out>(Out) {
      const int32_t first =
          kSwiglu ? column * (F::kColumns / 2) + lane % 4 : column * F::kColumns + lane % 4 * 2;
      Out* const y = static_cast<Out*>(p.y) + (list.first_row + lane / 4) * p.y_stride + first;
      merge_list<F, kSwiglu>(p, parts, list.num_rows, end - column, y);
    };
    if (p.swiglu) {
      p.f32_y ? merge.template operator()<true>(float{})
              : merge.template operator()<true>(__nv_bfloat16{});
    } else {
      p.f32_y ? merge.template operator()<false>(float{})
              : merge.template operator()<false>(__nv_bfloat16{});
    }
  });
}

// Two elements of a row that may be absent.
struct Addend {
  bool present = false;
  float2 value = {0, 0};

  __device__ Addend(const StreamedRows& rows, int64_t row, int32_t column) {
    present = rows.data != nullptr;
    if (!present) return;
    value = __bfloat1622float2(*reinterpret_cast<const __nv_bfloat162*>(
        static_cast<const __nv_bfloat16*>(rows.data) + row * rows.stride + column));
  }
  __device__ __nv_bfloat162 to(__nv_bfloat162 sum) const {
    if (!present) return sum;
    const float2 wide = __bfloat1622float2(sum);
    return __floats2bfloat162_rn(wide.x + value.x, wide.y + value.y);
  }
};

// The merging warp of a product by row: the same roundings as those of a product by slot, a
// combination and additions.
template <class F>
__device__ void merge_rows(const StreamGroupedParams& p, const StreamShare& share,
                           typename F::Parts& parts) {
  const auto lane = static_cast<int32_t>(threadIdx.x % 32);
  share.for_each_list([&](const StreamList list, int32_t index, int32_t column, int32_t end) {
    const StreamMember* const members = share.members + index * F::kRows;
    const int64_t row = list.first_row;
    for (; column < end; ++column) {
      const int32_t at = column * F::kColumns + lane % 4 * 2;
      float2 sums[F::kTiles] = {};
      for (int32_t i = 0; i < list.num_rows; ++i) {
        const float weight = members[i].weight;
        float2 products[F::kTiles];
        parts.take_row(products);
#pragma unroll
        for (int tile = 0; tile < F::kTiles; ++tile) {
          const float2 rounded =
              __bfloat1622float2(__floats2bfloat162_rn(products[tile].x, products[tile].y));
          sums[tile].x = __fmaf_rn(weight, rounded.x, sums[tile].x);
          sums[tile].y = __fmaf_rn(weight, rounded.y, sums[tile].y);
        }
      }
      if (lane >= 4) continue;
#pragma unroll
      for (int tile = 0; tile < F::kTiles; ++tile) {
        const int32_t first = at + tile * kBoxRows;
        __nv_bfloat162 out = __floats2bfloat162_rn(sums[tile].x, sums[tile].y);
        out = Addend(p.choices.shared, row, first).to(out);
        out = Addend(p.choices.residual, row, first).to(out);
        __nv_bfloat16* const y = static_cast<__nv_bfloat16*>(p.y) + row * p.y_stride + first;
        *reinterpret_cast<__nv_bfloat162*>(y) = out;
      }
    }
  });
}

template <class F>
constexpr bool kFitsLayout = F::Parts::kValueBytes == StreamGroupedLayout::part_bytes(F::form()) &&
                             F::Parts::kBarrierBytes <= StreamGroupedLayout::kPartBarrierBytes;

template <class F>
__global__ void __launch_bounds__(kGroupedWarps* kWarp, 1)
    stream_grouped_kernel(const __grid_constant__ CUtensorMap weights,
                          const __grid_constant__ StreamGroupedParams p) {
  static_assert(kFitsLayout<F>);
  extern __shared__ uint8_t memory[];
  const uint32_t shared = (shared_address(memory) + 1023) & ~1023u;
  uint8_t* const base = memory + (shared - shared_address(memory));
  const StreamGroupedLayout at(p, F::form());
  const Ring ring(shared, shared + at.ring_barriers, static_cast<uint32_t>(p.num_stages),
                  static_cast<uint32_t>(p.box_blocks) * F::kTiles * kBlockBytes);
  typename F::Parts parts(base + at.parts, shared + at.part_barriers);
  const auto warp = __shfl_sync(kAllLanes, static_cast<int32_t>(threadIdx.x / 32), 0);

  // Which weights are wanted may be the predecessor's output. It is only once that has ended that
  // the successor may start: what it reads early then comes from kernels that have ended, too.
  const StreamInputs inputs(base + at.inputs);
  if (warp == kMergeWarp) {
    if (threadIdx.x % kWarp == 0) {
      prefetch_tensor_map(weights);
      ring.init(kSumWarps);
      parts.init();
      publish_barriers();
    }
  } else {
    if (!p.early) {
      await_predecessor();
      release_successor();
    }
    inputs.read<F::kByRow>(p);
  }
  __syncthreads();
  auto* const lists = reinterpret_cast<StreamList*>(base + at.lists) + warp * p.max_lists;
  StreamShare share;
  if constexpr (F::kByRow) {
    auto* const members =
        reinterpret_cast<StreamMember*>(base + at.members) + warp * p.max_lists * F::kRows;
    share = share_of_rows<F::kRows, F::kColumns>(p, inputs, lists, members);
  } else {
    share = share_of_slots<F::kRows, F::kColumns>(p, inputs, lists);
  }

  if (warp == kFillWarp) {
    if (threadIdx.x % kWarp == 0) fill<F>(weights, p, share, ring);
    if (p.early) await_predecessor();
    return;
  }
  if (p.early || warp == kMergeWarp) {
    await_predecessor();
    release_successor();
  }
  if (warp < kSumWarps) {
    if constexpr (F::kBoxes == 0) {
      multiply_streamed<F>(p, share, ring, parts, warp);
    } else {
      multiply_kept<F>(p, share, ring, parts, warp);
    }
  } else if constexpr (F::kByRow) {
    merge_rows<F>(p, share, parts);
  } else {
    merge_lists<F>(p, share, parts);
  }
}

// With less there would be room for two blocks on an SM.
inline constexpr size_t kLeastGroupedBytes = 120 * 1024;

template <class F>
void launch_stream_grouped(const CUtensorMap& weights, const StreamGroupedParams& params,
                           const StreamGroupedLaunch& launch) {
  const StreamGroupedLayout layout(params, F::form());
  const size_t bytes = std::max(kLeastGroupedBytes, size_t{layout.end} + 1024);
  cudaFuncSetAttribute(stream_grouped_kernel<F>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                       static_cast<int>(bytes));
  launch_kernel(launch.on,
                {.grid = dim3(static_cast<unsigned>(launch.blocks)),
                 .block = dim3(kGroupedWarps * kWarp),
                 .shared_bytes = bytes},
                stream_grouped_kernel<F>, weights, params);
}

// The kernel among `Forms` that is compiled for `form`; null where none is.
template <class... Forms>
StreamGroupedKernel find_stream_grouped(const StreamGroupedForm& form) {
  StreamGroupedKernel found = nullptr;
  ((Forms::form() == form ? void(found = launch_stream_grouped<Forms>) : void()), ...);
  return found;
}

}  // namespace braid::kernels::cuda::sm90
