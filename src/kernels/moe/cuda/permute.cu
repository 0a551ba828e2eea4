// Few choices are placed by counting for each of them how many come before it.
//
// Many are by a counting sort in one cluster of blocks. Every warp has a stretch of the choices in
// their order; it counts its slots, the warps' and blocks' counts are summed in order, and then it
// places its choices behind those of the warps before it. So the result doesn't depend on timing.
#include <cooperative_groups.h>

#include <algorithm>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/moe/cuda/moe.h"
#include "kernels/moe/cuda/place_keys.cuh"

namespace braid::kernels::cuda {
namespace {

namespace cg = cooperative_groups;

constexpr int kThreads = 1024;
constexpr int kWarps = kThreads / kWarp;
constexpr int kBatch = 4;                // choices that a lane loads at once
constexpr int64_t kBlockChoices = 8192;  // beyond which another block is worth its while
constexpr int64_t kMaxBlocks = 8;        // what every cluster may have
constexpr int kFewChoices = 2048;        // up to which each is compared with all
constexpr int kFewThreads = 128;

struct Permutation {
  PermuteDesc desc;
  SlotTable table;
  int choices;  // rows · of_row
  int of_row;   // choices of a row, shared slots among them
  int stretch;  // choices of a warp, a multiple of kWarp · kBatch
  Matrix<const int32_t> ids;
  int32_t* offsets;
  int32_t* source;
  Matrix<int32_t> places;
};

__device__ int slot_of_choice(const Permutation& p, int choice) {
  const int row = choice / p.of_row;
  const int k = choice % p.of_row;
  const int top_k = p.of_row - p.desc.num_shared;
  return k < top_k ? local_slot(p.desc, p.table, p.ids.row(row)[k], row)
                   : shared_slot(p.desc, k, top_k);
}

// Calls body(choice, slot, rank, size) for every lane's choice of the warp's stretch, in batches of
// one choice a lane: `rank` of `size` among the batch's choices of the same slot. Slot −1: none.
template <typename Body>
__device__ void for_each_batch(const Permutation& p, int first, Body body) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int end = min(first + p.stretch, p.choices);
  for (int base = first; base < end; base += kWarp * kBatch) {
    int slots[kBatch];
#pragma unroll
    for (int b = 0; b < kBatch; ++b) {
      const int choice = base + b * kWarp + lane;
      slots[b] = choice < end ? slot_of_choice(p, choice) : -1;
    }
#pragma unroll
    for (int b = 0; b < kBatch; ++b) {
      const uint32_t same = __match_any_sync(kAllLanes, slots[b]);
      const int rank = __popc(same & ((1u << lane) - 1u));
      body(base + b * kWarp + lane, slots[b], rank, __popc(same));
      __syncwarp();
    }
  }
}

__global__ void __launch_bounds__(kThreads) permute_choices(Permutation p) {
  start_in_turn();
  extern __shared__ int32_t shared[];
  const int num_slots = p.desc.num_slots;
  int32_t* const counts = shared;                       // [kWarps, slots]
  int32_t* const totals = counts + kWarps * num_slots;  // [slots], of this block
  int32_t* const starts = totals + num_slots;           // [slots], where the block's choices go
  int32_t* const sums = starts + num_slots;             // [32]
  const cg::cluster_group cluster = cg::this_cluster();
  const auto block = static_cast<int>(cluster.block_rank());
  const auto thread = static_cast<int>(threadIdx.x);
  int32_t* const mine = counts + thread / kWarp * num_slots;
  const int first = (block * kWarps + thread / kWarp) * p.stretch;

  for (int i = thread; i < kWarps * num_slots; i += kThreads) counts[i] = 0;
  __syncthreads();
  for_each_batch(p, first, [mine](int, int slot, int rank, int size) {
    if (slot >= 0 && rank == 0) mine[slot] += size;
  });
  __syncthreads();

  // counts[w][s]: choices of slot s in the warps before w.
  for (int slot = thread; slot < num_slots; slot += kThreads) {
    int32_t total = 0;
    for (int w = 0; w < kWarps; ++w) {
      const int32_t count = counts[w * num_slots + slot];
      counts[w * num_slots + slot] = total;
      total += count;
    }
    totals[slot] = total;
  }
  cluster.sync();

  // One slot a thread: what all blocks have of it, and those before this one.
  int32_t before = 0;
  int32_t all = 0;
  for (int b = 0; thread < num_slots && b < static_cast<int>(cluster.num_blocks()); ++b) {
    const int32_t total = cluster.map_shared_rank(totals, b)[thread];
    if (b < block) before += total;
    all += total;
  }
  cluster.sync();  // no block leaves while another reads its totals
  int32_t total = 0;
  const int32_t end = block_scan(all, sums, total);
  if (thread < num_slots) {
    starts[thread] = end - all + before;
    if (block == 0) p.offsets[thread] = end - all;
  }
  if (block == 0 && thread == 0) p.offsets[num_slots] = total;
  __syncthreads();

  for_each_batch(p, first, [&p, mine, starts](int choice, int slot, int rank, int size) {
    const int32_t place = slot < 0 ? -1 : starts[slot] + mine[slot] + rank;
    __syncwarp();
    if (slot >= 0 && rank == 0) mine[slot] += size;
    if (choice >= p.choices) return;
    const int row = choice / p.of_row;
    p.places.row(row)[choice % p.of_row] = place;
    if (slot >= 0) p.source[place] = row;
  });
}

// Every block knows all choices, and places its share of them.
__global__ void __launch_bounds__(kFewThreads) permute_few(Permutation p) {
  __shared__ __align__(16) int32_t keys[kFewChoices];
  start_in_turn();
  for (int i = static_cast<int>(threadIdx.x); i < padded_keys(p.choices); i += kFewThreads) {
    keys[i] = i < p.choices ? key_of(slot_of_choice(p, i), i) : kNotHere;
  }
  __syncthreads();
  place_keys(keys, p.choices, p.of_row, p.desc.num_slots, {p.offsets, p.source, p.places},
             static_cast<int>(blockIdx.x * kFewThreads + threadIdx.x),
             static_cast<int>(gridDim.x) * kFewThreads);
}

void launch_few(const Permutation& permutation, const KernelStream& on) {
  const int64_t threads = permutation.choices + permutation.desc.num_slots + 1;
  const dim3 blocks(static_cast<unsigned>(ceil_div(threads, kFewThreads)));
  launch_kernel(on, {.grid = blocks, .block = dim3(kFewThreads)}, permute_few, permutation);
}

}  // namespace

void permute(const PermuteDesc& desc, int64_t rows, int64_t top_k, Matrix<const int32_t> ids,
             const SlotTable& table, int32_t* offsets, int32_t* source, Matrix<int32_t> places,
             const KernelStream& on) {
  const int64_t of_row = top_k + desc.num_shared;
  const int64_t choices = rows * of_row;
  const int64_t wanted = ceil_div(choices, kBlockChoices);
  const int64_t blocks = wanted <= 1 ? 1 : wanted <= 2 ? 2 : wanted <= 4 ? 4 : kMaxBlocks;
  const int64_t batches = ceil_div(choices, blocks * kWarps * kWarp * kBatch);
  const Permutation permutation{desc,
                                table,
                                static_cast<int>(choices),
                                static_cast<int>(of_row),
                                static_cast<int>(batches) * kWarp * kBatch,
                                ids,
                                offsets,
                                source,
                                places};
  if (choices <= kFewChoices) return launch_few(permutation, on);
  const size_t shared =
      (static_cast<size_t>(kWarps + 2) * static_cast<size_t>(desc.num_slots) + kWarp) *
      sizeof(int32_t);
  cudaFuncSetAttribute(permute_choices, cudaFuncAttributeMaxDynamicSharedMemorySize,
                       static_cast<int>(shared));
  const auto grid = static_cast<unsigned>(blocks);
  launch_kernel(
      on, {.grid = dim3(grid), .block = dim3(kThreads), .shared_bytes = shared, .cluster = grid},
      permute_choices, permutation);
}

}  // namespace braid::kernels::cuda
