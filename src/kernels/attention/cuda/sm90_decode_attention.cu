// Norms, rotary embedding, KV write and attention of a decode step in one kernel.
//
// Blocks take units: a share of the plan (decode_plan.h) for one KV head, dealt in turn. Four warps
// fill a ring with cached keys and values, far ahead of the others; four warps compute. For a leaf
// of 128 positions each of them makes the scores of 16 positions of each half for all query heads
// of the group, which are the rows of a tensor core's 16 by 8 product; then, with the weights of
// all positions in shared memory, a quarter of the columns of the result. Where a row has several
// shares, its sums go to scratch memory, and the block that comes last merges them.
//
// The row's own key and value are made by the block that has its last position. It puts them over
// the zeros that the ring holds there, and writes them to the cache.
#include "kernels/attention/cuda/sm90_decode_attention.h"

#include "kernels/attention/cuda/decode_sums.cuh"
#include "kernels/attention/cuda/sm90_decode_fill.cuh"
#include "kernels/attention/cuda/sm90_decode_prepare.cuh"
#include "kernels/attention/cuda/sm90_decode_step.cuh"
#include "kernels/cuda/launch.cuh"

namespace braid::kernels::cuda {
namespace {

using namespace sm90;
using namespace sm90_decode;

// --- A leaf -------------------------------------------------------------------------------------

// The compute warps' view of one unit. A lane has rows g = lane / 4 and g + 8 of products, and
// columns 2 (lane % 4) and the one behind it of each 8. kRows: 1 where a group has at most 8 heads,
// so that rows from 8 on are nothing; else 2.
template <int kHeadDim, int kRows>
class Unit {
 public:
  using L = Layout<kHeadDim>;
  static constexpr int kTiles = kHeadDim / kComputeWarps / 8;  // of a warp's columns
  using Node = Sums<kRows, kTiles * 2>;

  __device__ Unit(const Step& step, uint32_t shared, const Ring& ring, const DecodeShare& share)
      : step_(step), shared_(shared), ring_(ring), length_(share.length) {}

  // The sums of a leaf, whose stages come next in the ring.
  __device__ Node leaf(RingPlace& at, int32_t index) {
    positions_ = min(length_ - index * kLeafPositions, kLeafPositions);
    newest_ = length_ - 1 - index * kLeafPositions;
    float scores[kHalves][2][4] = {};
#pragma unroll
    for (int half = 0; half < kHalves; ++half) {
      if (half * kHalf < positions_) score(at, half, scores[half]);
    }
    Node node;
    weigh(scores, node);
    float sums[kTiles][4] = {};
#pragma unroll
    for (int half = 0; half < kHalves; ++half) {
      if (half * kHalf < positions_) add_values(at, half, sums);
    }
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
#pragma unroll
      for (int i = 0; i < kRows * 2; ++i) node.values[i / 2][tile * 2 + i % 2] = sums[tile][i];
    }
    return node;
  }

  // Calls visit(head of the group, column of the head, index into Node::values[·]) for each pair
  // of columns, with the row as kRow.
  template <typename Visit>
  __device__ void for_each_pair(Visit&& visit) const {
#pragma unroll
    for (int row = 0; row < kRows; ++row) {
      const int head = static_cast<int>(lane() / 4) + row * 8;
      if (head >= step_.group) continue;
#pragma unroll
      for (int tile = 0; tile < kTiles; ++tile) {
        const uint32_t column = warp() * (kTiles * 8) + tile * 8 + lane() % 4 * 2;
        visit(row, head, static_cast<int>(column), tile * 2);
      }
    }
  }

 private:
  static constexpr int kSteps = kHeadDim / 16;
  static constexpr int kWarpPositions = kHalf / kComputeWarps;  // 16: two tiles of scores

  __device__ static uint32_t lane() { return threadIdx.x % kWarp; }
  __device__ static uint32_t warp() { return threadIdx.x / kWarp; }

  // Puts the newest key or value over its place in a stage, in packs [first, first + count).
  __device__ void put_newest(uint32_t stage, int half, uint32_t is_value, uint32_t first,
                             uint32_t count) const {
    const auto row = static_cast<uint32_t>(newest_ - half * kHalf);
    if (lane() < count) {
      const uint32_t pack = first + lane();
      store_16(stage + L::place(row, pack),
               load_16(shared_ + L::kNewest + is_value * L::kRowBytes + pack * 16));
    }
    __syncwarp();
  }
  __device__ bool has_newest(int half) const { return newest_ >= 0 && newest_ / kHalf == half; }

  // Queries times this warp's 16 keys of a half.
  __device__ void score(RingPlace& at, int half, float (&scores)[2][4]) const {
    ring_.await_filled(at);
    const uint32_t stage = ring_.stage(at);
    if (has_newest(half) && static_cast<uint32_t>(newest_ % kHalf / kWarpPositions) == warp()) {
      put_newest(stage, half, 0, 0, L::kPacks);
    }
    // Matrices of keys: packs 2 i and 2 i + 1 of 8 of them, then of the next 8. Of queries: 8 rows,
    // the other 8, of pack 2 i, then of pack 2 i + 1.
    const uint32_t row = warp() * kWarpPositions + lane() / 16 * 8 + lane() % 8;
    const uint32_t pack = lane() / 8 % 2;
    const uint32_t queries =
        shared_ + L::kQueries + lane() % 16 * L::kQueryStride + lane() / 16 * 16;
    struct Operands {
      uint4 queries;
      uint4 keys;
    };
    const auto load = [&](int i) {
      return Operands{load_matrices(queries + i * 32),
                      load_matrices(stage + L::place(row, 2 * i + pack))};
    };
    Operands next = load(0);
#pragma unroll
    for (int i = 0; i < kSteps; ++i) {
      const auto [q, keys] = next;
      if (i + 1 < kSteps) next = load(i + 1);  // under way while these are multiplied
      multiply_16x8x16(scores[0], q.x, high(q.y), q.z, high(q.w), keys.x, keys.y);
      multiply_16x8x16(scores[1], q.x, high(q.y), q.z, high(q.w), keys.z, keys.w);
    }
    ring_.release(at, scores[0][0], scores[1][0]);
    ring_.advance(at);
  }

  __device__ static uint32_t high(uint32_t word) { return kRows > 1 ? word : 0; }

  // Scores become weights, rounded to bf16, in shared memory. Positions behind the row's own have
  // none.
  __device__ void weigh(float (&scores)[kHalves][2][4], Node& node) {
    float peaks[kRows];
#pragma unroll
    for (int row = 0; row < kRows; ++row) peaks[row] = -INFINITY;
    for_each_score(scores, [&](int row, uint32_t position, float& a, float& b) {
      if (static_cast<int32_t>(position) >= positions_) a = -INFINITY;
      if (static_cast<int32_t>(position) + 1 >= positions_) b = -INFINITY;
      peaks[row] = fmaxf(peaks[row], fmaxf(a, b));
    });
    share_rows(L::kPeaks, peaks, [](float a, float b) { return fmaxf(a, b); });
    await_compute_warps();  // and all have read the weights of the leaf before
    read_rows(L::kPeaks, [&](int row, const float(&all)[kComputeWarps]) {
      const float peak = fmaxf(fmaxf(all[0], all[1]), fmaxf(all[2], all[3]));
      node.weighing[row].peak = ceilf(peak * step_.scale);
    });
    float sums[kRows] = {};
    for_each_score(scores, [&](int row, uint32_t position, float& a, float& b) {
      const float peak = node.weighing[row].peak;
      const uint32_t two = narrow_two(power_of_two(__fmaf_rn(a, step_.scale, -peak)),
                                      power_of_two(__fmaf_rn(b, step_.scale, -peak)));
      sums[row] += __uint_as_float(two << 16) + __uint_as_float(two & 0xffff0000u);
      const uint32_t to = shared_ + L::kWeights + (lane() / 4 + row * 8) * L::kWeightStride;
      store_4(to + position * 2, two);
    });
    share_rows(L::kSums, sums, [](float a, float b) { return a + b; });
    await_compute_warps();
    read_rows(L::kSums, [&](int row, const float(&all)[kComputeWarps]) {
      node.weighing[row].sum = ((all[0] + all[1]) + all[2]) + all[3];
    });
  }

  // Weights times the values of a half, in this warp's columns.
  __device__ void add_values(RingPlace& at, int half, float (&sums)[kTiles][4]) const {
    constexpr uint32_t kWarpPacks = kTiles;
    ring_.await_filled(at);
    const uint32_t stage = ring_.stage(at);
    if (has_newest(half)) put_newest(stage, half, 1, warp() * kWarpPacks, kWarpPacks);
    // Matrices of weights: 8 rows, the other 8, for 8 positions, then for the next 8. Of values: 8
    // positions, the next 8, of 8 columns, then of the next 8.
    const uint32_t in_sixteen = lane() % 16;
    const uint32_t weights = shared_ + L::kWeights + in_sixteen * L::kWeightStride +
                             lane() / 16 * 16 + half * (kHalf * 2);
    struct Operands {
      uint4 weights;
      uint4 values[kTiles / 2];  // of two tiles each
    };
    const auto load = [&](int i) {
      Operands operands;
      operands.weights = load_matrices(weights + i * 32);
#pragma unroll
      for (int pair = 0; pair < kTiles / 2; ++pair) {
        const uint32_t pack = warp() * kWarpPacks + pair * 2 + lane() / 16;
        operands.values[pair] =
            load_matrices_transposed(stage + L::place(i * 16 + in_sixteen, pack));
      }
      return operands;
    };
    Operands next = load(0);
#pragma unroll
    for (int i = 0; i < kHalf / 16; ++i) {
      const Operands operands = next;
      if (i + 1 < kHalf / 16) next = load(i + 1);
      const uint4& w = operands.weights;
#pragma unroll
      for (int pair = 0; pair < kTiles / 2; ++pair) {
        const uint4& v = operands.values[pair];
        multiply_16x8x16(sums[2 * pair], w.x, high(w.y), w.z, high(w.w), v.x, v.y);
        multiply_16x8x16(sums[2 * pair + 1], w.x, high(w.y), w.z, high(w.w), v.z, v.w);
      }
    }
    ring_.release(at, sums[0][0] + sums[1][0], sums[kTiles - 2][0] + sums[kTiles - 1][0]);
    ring_.advance(at);
  }

  template <typename Visit>
  __device__ static void for_each_score(float (&scores)[kHalves][2][4], Visit&& visit) {
#pragma unroll
    for (int half = 0; half < kHalves; ++half) {
#pragma unroll
      for (int tile = 0; tile < 2; ++tile) {
        const uint32_t position =
            half * kHalf + warp() * kWarpPositions + tile * 8 + lane() % 4 * 2;
#pragma unroll
        for (int row = 0; row < kRows; ++row) {
          visit(row, position, scores[half][tile][2 * row], scores[half][tile][2 * row + 1]);
        }
      }
    }
  }

  // A number of each row, joined over the four lanes that have columns of it, goes to shared
  // memory.
  template <typename Join>
  __device__ void share_rows(uint32_t to, float (&values)[kRows], Join&& join) const {
#pragma unroll
    for (int row = 0; row < kRows; ++row) {
      values[row] = join(values[row], __shfl_xor_sync(kAllLanes, values[row], 1));
      values[row] = join(values[row], __shfl_xor_sync(kAllLanes, values[row], 2));
      if (lane() % 4 == 0) {
        store_4(shared_ + to + (warp() * kHeadRows + lane() / 4 + row * 8) * 4,
                __float_as_uint(values[row]));
      }
    }
  }
  // Calls read(row, the numbers of all warps).
  template <typename Read>
  __device__ void read_rows(uint32_t from, Read&& read) const {
#pragma unroll
    for (int row = 0; row < kRows; ++row) {
      float all[kComputeWarps];
#pragma unroll
      for (int w = 0; w < kComputeWarps; ++w) {
        all[w] =
            __uint_as_float(load_4(shared_ + from + (w * kHeadRows + lane() / 4 + row * 8) * 4));
      }
      read(row, all);
    }
  }

  __device__ static void store_4(uint32_t to, uint32_t word) {
    asm volatile("st.shared.u32 [%0], %1;" ::"r"(to), "r"(word) : "memory");
  }
  __device__ static uint32_t load_4(uint32_t from) {
    uint32_t word;
    asm volatile("ld.shared.u32 %0, [%1];" : "=r"(word) : "r"(from) : "memory");
    return word;
  }

  const Step& step_;
  uint32_t shared_;
  const Ring& ring_;
  int32_t length_;
  int32_t positions_ = 0;  // of the leaf
  int32_t newest_ = 0;     // the row's own position, from the leaf's first
};

// --- Results ------------------------------------------------------------------------------------

// Loads past the L1 cache, of what other blocks wrote.
__device__ float4 load_part_16(const float* from) {
  float4 v;
  asm volatile("ld.global.cg.v4.f32 {%0, %1, %2, %3}, [%4];"
               : "=f"(v.x), "=f"(v.y), "=f"(v.z), "=f"(v.w)
               : "l"(from)
               : "memory");
  return v;
}
__device__ float2 load_part_8(const float* from) {
  float2 v;
  asm volatile("ld.global.cg.v2.f32 {%0, %1}, [%2];" : "=f"(v.x), "=f"(v.y) : "l"(from) : "memory");
  return v;
}

// A part in scratch memory: values f32 [group, head_dim], then peak and sum [group, 2].
constexpr int64_t part_floats(int64_t group, int64_t head_dim) {
  return ceil_div(group * (head_dim + 2), 4) * 4;
}

// The row's only part.
template <int kHeadDim, typename U>
__device__ void write_result(const Step& step, const U& unit, const typename U::Node& sums,
                             bf16* out) {
  unit.for_each_pair([&](int row, int head, int column, int index) {
    const float scale = __frcp_rn(sums.weighing[row].sum);
    *reinterpret_cast<uint32_t*>(out + head * kHeadDim + column) =
        narrow_two(sums.values[row][index] * scale, sums.values[row][index + 1] * scale);
  });
}

template <int kHeadDim, typename U>
__device__ void write_part(const Step& step, const U& unit, const typename U::Node& sums,
                           float* part) {
  unit.for_each_pair([&](int row, int head, int column, int index) {
    *reinterpret_cast<float2*>(part + head * kHeadDim + column) =
        make_float2(sums.values[row][index], sums.values[row][index + 1]);
    if (column == 0) {
      *reinterpret_cast<float2*>(part + step.group * kHeadDim + head * 2) =
          make_float2(sums.weighing[row].peak, sums.weighing[row].sum);
    }
  });
}

// Counts a part of a row, which is in scratch memory; true in the block that brings a layer's last
// one. The barrier and the addition, which releases and acquires, order all threads' stores of a
// part before all loads of the block that merges.
__device__ bool is_last_part(int32_t* arrivals, int32_t num_parts, int* flag) {
  await_compute_warps();
  if (threadIdx.x == 0) {
    int32_t before = 0;
    asm volatile("atom.add.acq_rel.gpu.global.s32 %0, [%1], 1;"
                 : "=r"(before)
                 : "l"(arrivals)
                 : "memory");
    *flag = (before + 1) % num_parts == 0 ? 1 : 0;
  }
  await_compute_warps();
  return *flag != 0;
}

// Merges the parts of a row, `stride` floats apart. Threads take four columns of some heads each,
// of kItems heads at a time so that more loads are under way.
template <int kHeadDim, int kItems>
__device__ void merge_parts(const Step& step, const float* parts, int64_t stride, int num_parts,
                            bf16* out) {
  constexpr int kAtOnce = 8;  // parts
  constexpr int kItemsOfHead = kHeadDim / 4;
  using Node = Sums<kItems, 4>;
  const int num_items = step.group * kItemsOfHead;
#pragma unroll 1
  for (int base = static_cast<int>(threadIdx.x); base < num_items;
       base += kItems * kComputeThreads) {
    using Tree = TreeSums<Node, 2>;  // whose leaves are kAtOnce parts
    typename Tree::Far far;
    Tree tree(far);
    Node all;
#pragma unroll 1
    for (int first = 0; first < num_parts; first += kAtOnce) {
      Node nodes[kAtOnce];
#pragma unroll
      for (int p = 0; p < kAtOnce; ++p) {
        const float* part = parts + min(first + p, num_parts - 1) * stride;
#pragma unroll
        for (int i = 0; i < kItems; ++i) {
          const int item = min(base + i * kComputeThreads, num_items - 1);
          const float4 v = load_part_16(part + item * 4);
          const float2 w = load_part_8(part + step.group * kHeadDim + item / kItemsOfHead * 2);
          nodes[p].weighing[i] = {w.x, w.y};
          nodes[p].values[i][0] = v.x;
          nodes[p].values[i][1] = v.y;
          nodes[p].values[i][2] = v.z;
          nodes[p].values[i][3] = v.w;
        }
      }
#pragma unroll
      for (int width = 1; width < kAtOnce; width *= 2) {
#pragma unroll
        for (int p = 0; p < kAtOnce; p += 2 * width) {
          if (first + p + width < num_parts) nodes[p].append(nodes[p + width]);
        }
      }
      if (first + kAtOnce < num_parts) {
        tree.add(nodes[0]);
      } else {
        all = tree.finish(nodes[0]);
      }
    }
#pragma unroll
    for (int i = 0; i < kItems; ++i) {
      const int item = base + i * kComputeThreads;
      if (item >= num_items) continue;
      const float scale = __frcp_rn(all.weighing[i].sum);
      const float* v = all.values[i];
      *reinterpret_cast<uint2*>(out + item * 4) = make_uint2(
          narrow_two(v[0] * scale, v[1] * scale), narrow_two(v[2] * scale, v[3] * scale));
    }
  }
}

// --- The kernel ---------------------------------------------------------------------------------

template <int kHeadDim, int kRows>
__device__ void compute(const Step& step, uint32_t shared, const Ring& ring, int* flag) {
  using U = Unit<kHeadDim, kRows>;
  RingPlace at;
  for (Walk walk(step); walk.more(); walk.advance(step)) {
    const DecodeShare& share = walk.share;
    const int32_t head = walk.head(step);
    Preparation<kHeadDim, kRows * 8>(step, share.row, head).run(shared, walk.has_newest());
    await_compute_warps();
    U unit(step, shared, ring, share);
    using Tree = TreeSums<typename U::Node, kRows == 1 ? 4 : 2>;
    typename Tree::Far far;
    Tree tree(far);
    const int32_t last_leaf = share.first_leaf + walk.leaves() - 1;
    typename U::Node sums;
#pragma unroll 1
    for (int32_t i = share.first_leaf;; ++i) {
      sums = unit.leaf(at, i);
      if (i == last_leaf) break;
      tree.add(sums);
    }
    sums = tree.finish(sums);

    bf16* out = step.out.row(share.row) + int64_t{head} * step.group * kHeadDim;
    const int32_t num_parts = (leaves_of(share.length) + walk.share_leaves - 1) / walk.share_leaves;
    int32_t* arrivals = step.arrivals + int64_t{share.row} * step.num_kv_heads + head;
    if (num_parts == 1) {
      write_result<kHeadDim>(step, unit, sums, out);
      if (threadIdx.x == 0) atomicAdd(arrivals, 1);
    } else {
      const int64_t floats = part_floats(step.group, kHeadDim);
      write_part<kHeadDim>(step, unit, sums, step.parts + walk.unit * floats);
      if (is_last_part(arrivals, num_parts, flag)) {
        // The row's shares follow one another, and units of one head are num_kv_heads apart.
        const int64_t first_unit =
            walk.unit - int64_t{share.first_leaf / walk.share_leaves} * step.num_kv_heads;
        merge_parts<kHeadDim, kRows == 1 ? 2 : 1>(step, step.parts + first_unit * floats,
                                                  step.num_kv_heads * floats, num_parts, out);
      }
    }
    await_compute_warps();  // before the next unit's queries and newest rows take these ones' place
  }
}

template <int kHeadDim, int kRows>
__global__ void __launch_bounds__(kThreads, kBlocksPerSm)
    decode(const __grid_constant__ Step step) {
  using L = Layout<kHeadDim>;
  extern __shared__ __align__(128) uint8_t memory[];
  const uint32_t shared = shared_address(memory);
  release_successor();
  const Ring ring(shared, shared + L::kBarriers, L::kStages, L::kStageBytes);
  if (threadIdx.x == 0) {
    ring.init(kComputeWarps, kFillWarps * kWarp);
    publish_barriers();
  }
  // Rows of heads that there are not must be numbers.
  for (uint32_t i = threadIdx.x * 16; i < kHeadRows * L::kQueryStride; i += kThreads * 16) {
    store_16(shared + L::kQueries + i, make_uint4(0, 0, 0, 0));
  }
  __syncthreads();
  await_predecessor();
  if (threadIdx.x < kComputeThreads) {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kComputeRegisters));
    compute<kHeadDim, kRows>(step, shared, ring, reinterpret_cast<int*>(memory + L::kIsLast));
  } else {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kFillRegisters));
    fill_ring<kHeadDim>(step, ring);
    zero_padding(step, step.num_kv_heads * step.group * kHeadDim);
  }
}

template <int kHeadDim, int kRows>
void launch(const Step& step, const KernelStream& stream) {
  using L = Layout<kHeadDim>;
  static_assert(kHeadDim % 64 == 0 && kBlocksPerSm * (L::kBytes + 1024) <= 228 * 1024);
  const auto kernel = decode<kHeadDim, kRows>;
  cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int{L::kBytes});
  launch_kernel(stream,
                {.grid = dim3(kDecodeBlocks), .block = dim3(kThreads), .shared_bytes = L::kBytes},
                kernel, step);
}

template <int kHeadDim>
void launch(const Step& step, const KernelStream& stream) {
  if (step.group <= kHeadRows / 2) {
    launch<kHeadDim, 1>(step, stream);
  } else {
    launch<kHeadDim, 2>(step, stream);
  }
}

}  // namespace

int64_t sm90_decode_scratch_bytes(const DecodeAttentionDesc& desc, int64_t rows) {
  const AttentionDesc& a = desc.attention;
  const int64_t units = DecodePlanLayout(rows, a.num_kv_heads).capacity * a.num_kv_heads;
  return units * part_floats(a.num_heads / a.num_kv_heads, a.head_dim) *
         static_cast<int64_t>(sizeof(float));
}

void sm90_decode_attention(const DecodeAttentionDesc& desc, const DecodeAttentionArgs& args,
                           const KernelStream& stream) {
  constexpr double kLog2E = 1.4426950408889634;
  const AttentionDesc& a = desc.attention;
  const DecodePlanLayout layout(args.rows.rows, a.num_kv_heads);
  const Step step{
      .rows = args.rows,
      .kv_slots = args.kv_slots,
      .qkv = args.qkv,
      .q_norm = args.q_norm,
      .k_norm = args.k_norm,
      .rotary_table = args.rotary_table,
      .header = args.plan,
      .shares = reinterpret_cast<const DecodeShare*>(args.plan + DecodePlanLayout::kHeaderWords),
      .arrivals = args.plan + layout.arrivals,
      .capacity = static_cast<int32_t>(layout.capacity),
      .cache = args.cache,
      .out = args.out,
      .parts = reinterpret_cast<float*>(args.scratch),
      .num_kv_heads = a.num_kv_heads,
      .group = a.num_heads / a.num_kv_heads,
      .page_size = a.page_size,
      .rotary_dims = desc.rotary.dims,
      .eps = desc.eps,
      .scale = static_cast<float>(kLog2E * a.scale)};
  if (a.head_dim == 64) {
    launch<64>(step, stream);
  } else {
    launch<128>(step, stream);
  }
}

}  // namespace braid::kernels::cuda
