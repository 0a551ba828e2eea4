// Norms, rotary embedding, KV write and attention of a decode step in one kernel.
//
// Blocks take units: a share of the plan (decode_plan.h) for one KV head, dealt in turn. Two warps
// fill a ring with cached keys and values, far ahead of the others; four warps compute. For a leaf
// of 128 positions each of them makes the scores of 16 positions of each half for all query heads
// of the group, which are the rows of a tensor core's 16 by 8 product; then, with the weights of
// all positions in shared memory, a quarter of the columns of the result. Where a row has several
// shares, its sums go to scratch memory, and the block that comes last merges them.
//
// The row's own key and value are made by the block that has its last position. It puts them over
// the zeros that the ring holds there, and writes them to the cache.
#include "kernels/attention/cuda/sm90_decode_attention.h"

#include <algorithm>

#include "kernels/attention/cuda/decode_sums.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/stream_ring.cuh"
#include "kernels/norm/cuda/norm_math.cuh"
#include "kernels/rotary/cuda/turn.cuh"

namespace braid::kernels::cuda {
namespace {

using namespace sm90;

constexpr int kComputeWarps = 4;
constexpr int kComputeThreads = kComputeWarps * kWarp;
constexpr int kFillWarps = 2;
constexpr int kThreads = kComputeThreads + kFillWarps * kWarp;
constexpr int kBlocksPerSm = 2;
constexpr int kHeadRows = 16;  // query heads of a group, as rows of a product

constexpr int kHalf = 64;  // positions of a stage; a leaf has two of keys, two of values
constexpr int kHalves = kLeafPositions / kHalf;
constexpr uint32_t kRingBytes = 96 * 1024;

// What the kernel is told. Matrices of the cache count from the K and V of KV head 0.
struct Step {
  PagedRows rows;
  const int32_t* kv_slots;
  Matrix<const bf16> qkv;
  const bf16 *q_norm, *k_norm;
  Matrix<const float> rotary_table;
  const int32_t* header;  // of the plan
  const DecodeShare* shares;
  int32_t* arrivals;
  int32_t capacity;  // of shares
  Matrix<bf16> cache;
  Matrix<bf16> out;
  float* parts;
  int32_t num_kv_heads, group, page_size;
  int32_t rotary_dims;
  float eps;
  float scale;  // of scores, in units of log 2
};

// Columns of a head are handled in packs of 16 bytes. In shared memory, pack p of row r of keys or
// values stands at p XOR r mod 8, so that reading a column of packs meets all banks.
template <int kHeadDim>
struct Layout {
  static constexpr int kPacks = kHeadDim / kPack;
  static constexpr uint32_t kRowBytes = kHeadDim * sizeof(bf16);
  static constexpr uint32_t kStageBytes = kHalf * kRowBytes;
  static constexpr uint32_t kStages = kRingBytes / kStageBytes;
  // Rows of queries and weights are 16 bytes longer than they need be, for the same reason.
  static constexpr uint32_t kQueryStride = kRowBytes + 16;
  static constexpr uint32_t kWeightStride = kLeafPositions * sizeof(bf16) + 16;

  static constexpr uint32_t kQueries = kRingBytes;  // bf16 [16, head_dim]
  static constexpr uint32_t kWeights = kQueries + kHeadRows * kQueryStride;  // bf16 [16, 128]
  static constexpr uint32_t kNewest = kWeights + kHeadRows * kWeightStride;  // bf16 [2, head_dim]
  static constexpr uint32_t kPeaks = kNewest + 2 * kRowBytes;                // f32 [warps, 16]
  static constexpr uint32_t kSums = kPeaks + kComputeWarps * kHeadRows * 4;  // f32 [warps, 16]
  static constexpr uint32_t kIsLast = kSums + kComputeWarps * kHeadRows * 4;
  static constexpr uint32_t kBarriers = kIsLast + 16;
  static constexpr uint32_t kBytes = kBarriers + kStages * Ring::kBarrierBytes;

  __device__ static uint32_t place(uint32_t row, uint32_t pack) {
    return row * kRowBytes + (pack ^ (row % 8)) * 16;
  }
};

__device__ void await_compute_warps() {
  asm volatile("bar.sync 1, %0;" ::"n"(kComputeThreads) : "memory");
}

// A block's walk over its units.
struct Walk {
  int32_t unit;  // share · num_kv_heads + KV head
  int32_t num_units;
  int32_t share_leaves;
  DecodeShare share;

  __device__ explicit Walk(const Step& step) : unit(static_cast<int32_t>(blockIdx.x)) {
    // Both loads are under way at once; what isn't a share is not looked at.
    const int2 header = *reinterpret_cast<const int2*>(step.header);
    load(step);
    num_units = header.x * step.num_kv_heads;
    share_leaves = header.y;
  }
  __device__ void advance(const Step& step) {
    unit += static_cast<int32_t>(gridDim.x);
    if (more()) load(step);
  }
  __device__ void load(const Step& step) {
    const int32_t index = min(unit / step.num_kv_heads, step.capacity - 1);
    const int4 words = reinterpret_cast<const int4*>(step.shares)[index];
    share = {words.x, words.y, words.z, words.w};
  }
  __device__ bool more() const { return unit < num_units; }
  __device__ int32_t head(const Step& step) const { return unit % step.num_kv_heads; }
  __device__ int32_t leaves() const {
    return min(share_leaves, leaves_of(share.length) - share.first_leaf);
  }
  __device__ bool has_newest() const {
    return share.first_leaf + share_leaves >= leaves_of(share.length);
  }
};

// --- The warps that fill the ring ---------------------------------------------------------------

// Each fills a half of every stage: 32 positions, of which lane i finds the i-th in the cache.
static_assert(kFillWarps * kWarp == kHalf);

__device__ uint32_t fill_warp() { return threadIdx.x / kWarp - kComputeWarps; }

// Where this warp's positions of a leaf's halves are in the cache, in packs from its start.
struct LeafPlaces {
  static constexpr uint32_t kNone = ~0u;  // behind the last cached position
  uint32_t packs[kHalves];

  __device__ LeafPlaces(const Step& step, const DecodeShare& share, int32_t leaf) {
    const int32_t* pages = step.rows.block_table.row(share.sequence);
    const auto size = static_cast<uint32_t>(step.page_size);
    const uint32_t first = fill_warp() * kWarp + threadIdx.x % kWarp;
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
__device__ const void* packs_behind(const bf16* from, uint32_t packs) {
  uint64_t address;
  asm("mad.wide.u32 %0, %1, 16, %2;"
      : "=l"(address)
      : "r"(packs), "l"(reinterpret_cast<uint64_t>(from)));
  return reinterpret_cast<const void*>(address);
}

// Copies this warp's half of a stage, from the column of the cache that `from` points to; zeros
// where there is no cached position.
template <int kHeadDim>
__device__ void fill_stage(uint32_t stage, const bf16* from, uint32_t my_place) {
  using L = Layout<kHeadDim>;
  constexpr uint32_t kRows = kWarp / L::kPacks;  // that the warp copies at a time
  constexpr uint32_t kAtOnce = 8;                // addresses that are found before they are used
  const uint32_t lane = threadIdx.x % kWarp, pack = lane % L::kPacks, row = lane / L::kPacks;
  constexpr uint32_t kStep = kRows * L::kRowBytes;
  // Places repeat every 8 rows.
  constexpr uint32_t kDistinct = 8 / kRows;
  uint32_t to[kDistinct];
#pragma unroll
  for (uint32_t j = 0; j < kDistinct; ++j) {
    to[j] = stage + fill_warp() * kWarp * L::kRowBytes + L::place(j * kRows + row, pack) - j * kStep;
  }
  const bf16* source = from + pack * kPack;
  const bool all = __all_sync(kAllLanes, my_place != LeafPlaces::kNone);
#pragma unroll 1
  for (uint32_t first = 0; first < kWarp; first += kAtOnce * kRows) {
    uint32_t place[kAtOnce];
#pragma unroll
    for (uint32_t j = 0; j < kAtOnce; ++j) {
      place[j] = __shfl_sync(kAllLanes, my_place, first + j * kRows + row);
    }
    if (all) {
#pragma unroll
      for (uint32_t j = 0; j < kAtOnce; ++j) {
        copy_16(to[j % kDistinct] + j * kStep, packs_behind(source, place[j]), 16);
      }
    } else {
#pragma unroll
      for (uint32_t j = 0; j < kAtOnce; ++j) {
        const bool cached = place[j] != LeafPlaces::kNone;
        copy_16(to[j % kDistinct] + j * kStep, packs_behind(source, cached ? place[j] : 0),
                cached ? 16 : 0);
      }
    }
#pragma unroll
    for (uint32_t j = 0; j < kDistinct; ++j) to[j] += kAtOnce * kStep;
  }
}

template <int kHeadDim>
__device__ void fill_leaf(const Step& step, const Ring& ring, RingPlace& at, int32_t head,
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
__device__ void fill_ring(const Step& step, const Ring& ring) {
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
__device__ void zero_padding(const Step& step, int32_t columns) {
  if (fill_warp() > 0) return;
  for (int64_t row = blockIdx.x; row < step.rows.rows; row += gridDim.x) {
    if (step.rows.sequences[row] >= 0) continue;
    for (int32_t i = static_cast<int32_t>(threadIdx.x % kWarp) * kPack; i < columns;
         i += kWarp * kPack) {
      store_pack<true>(step.out.row(row) + i, kPack, Pack<bf16>{});
    }
  }
}

// --- Queries, and the newest key and value ------------------------------------------------------

// The heads of a unit that are to be prepared, as half or quarter warps take them: a pack a lane.
template <int kHeadDim, int kMaxGroup>
class Preparation {
 public:
  __device__ Preparation(const Step& step, int32_t row, int32_t head)
      : step_(step), row_(row), head_(head) {}

  // Puts normed and turned queries and, where the unit has the newest position, the key and value
  // into shared memory, and these also into the cache.
  __device__ void run(uint32_t shared, bool has_newest) const {
    const int count = step_.group + (has_newest ? 2 : 0);
    uint4 packs[kRounds];
#pragma unroll
    for (int i = 0; i < kRounds; ++i) packs[i] = load(item(i), count);
    const Angles angles = load_angles();
    const uint4 q_weights = load_weights(step_.q_norm), k_weights = load_weights(step_.k_norm);
    const int32_t slot = has_newest ? step_.kv_slots[row_] : -1;
#pragma unroll
    for (int i = 0; i < kRounds; ++i) {
      if (i * kAtOnce >= count) return;
      const bool is_key = item(i) == step_.group, is_value = item(i) == step_.group + 1;
      const bool normed = (is_key ? step_.k_norm : step_.q_norm) != nullptr;
      Pack<bf16> pack = pack_of(packs[i]);
      const float squares = head_sum(add_squares(0, pack));
      if (normed && !is_value) {
        pack = scale_pack(pack, pack_of(either(is_key, k_weights, q_weights)),
                          norm_scale(squares, kHeadDim, step_.eps));
      }
      const Pack<bf16> turned = turn_pack(pack, angles);
      store(shared, item(i), count, is_value ? pack : turned, slot);
    }
  }

 private:
  using L = Layout<kHeadDim>;
  static constexpr int kAtOnce = kComputeThreads / L::kPacks;
  static constexpr int kRounds = (kMaxGroup + 2 + kAtOnce - 1) / kAtOnce;

  struct Angles {
    float4 cosines[2];
    float4 sines[2];
    __device__ static float at(const float4 (&all)[2], int i) {
      const float4& four = all[i / 4];
      return i % 4 == 0 ? four.x : i % 4 == 1 ? four.y : i % 4 == 2 ? four.z : four.w;
    }
  };

  __device__ static int pack_index() { return static_cast<int>(threadIdx.x) % L::kPacks; }
  __device__ static int item(int round) {
    return round * kAtOnce + static_cast<int>(threadIdx.x) / L::kPacks;
  }

  __device__ uint4 load(int item, int count) const {
    if (item >= count) return make_uint4(0, 0, 0, 0);
    const int32_t heads = step_.group * step_.num_kv_heads;
    const int32_t column = item < step_.group    ? head_ * step_.group + item
                           : item == step_.group ? heads + head_
                                                 : heads + step_.num_kv_heads + head_;
    const bf16* from = step_.qkv.row(row_) + column * kHeadDim + pack_index() * kPack;
    return *reinterpret_cast<const uint4*>(from);
  }
  __device__ static uint4 load_weights(const bf16* weights) {
    if (weights == nullptr) return make_uint4(0, 0, 0, 0);
    return *reinterpret_cast<const uint4*>(weights + pack_index() * kPack);
  }
  // Word by word, so that both stay in registers.
  __device__ static uint4 either(bool first, uint4 a, uint4 b) {
    return make_uint4(first ? a.x : b.x, first ? a.y : b.y, first ? a.z : b.z, first ? a.w : b.w);
  }
  // Packs [0, half) of a head are turned with packs [half, 2 half), by the same angles.
  __device__ int half() const { return step_.rotary_dims / 2 / kPack; }
  __device__ Angles load_angles() const {
    Angles angles = {};
    if (pack_index() < 2 * half()) {
      const float* from = step_.rotary_table.row(row_) + pack_index() % half() * kPack;
      const auto* cosines = reinterpret_cast<const float4*>(from);
      const auto* sines = reinterpret_cast<const float4*>(from + half() * kPack);
      angles = {{cosines[0], cosines[1]}, {sines[0], sines[1]}};
    }
    return angles;
  }

  // The sum over a head's lanes, in the order in which a whole warp sums (device.cuh).
  __device__ static float head_sum(float value) {
#pragma unroll
    for (int step = L::kPacks / 2; step > 0; step /= 2) {
      value += __shfl_xor_sync(kAllLanes, value, step);
    }
    return value;
  }

  __device__ Pack<bf16> turn_pack(const Pack<bf16>& pack, const Angles& angles) const {
    const int index = pack_index();
    const bool first = index < half(), second = !first && index < 2 * half();
    const int partner = first ? index + half() : second ? index - half() : index;
    const int lane = static_cast<int>(threadIdx.x) % kWarp - index + partner;
    const uint4 own = words_of(pack);
    const Pack<bf16> other = pack_of(make_uint4(
        __shfl_sync(kAllLanes, own.x, lane), __shfl_sync(kAllLanes, own.y, lane),
        __shfl_sync(kAllLanes, own.z, lane), __shfl_sync(kAllLanes, own.w, lane)));
    Pack<bf16> out;
#pragma unroll
    for (int i = 0; i < kPack; ++i) {
      bf16 a = {first ? pack.values[i].bits : other.values[i].bits};
      bf16 b = {first ? other.values[i].bits : pack.values[i].bits};
      turn(a, b, Angles::at(angles.cosines, i), Angles::at(angles.sines, i));
      const uint16_t turned = first ? a.bits : b.bits;
      out.values[i] = {first || second ? turned : pack.values[i].bits};
    }
    return out;
  }

  __device__ void store(uint32_t shared, int item, int count, const Pack<bf16>& pack,
                        int32_t slot) const {
    if (item >= count) return;
    const uint4 words = words_of(pack);
    const uint32_t column = static_cast<uint32_t>(pack_index()) * 16;
    if (item < step_.group) {
      store_16(shared + L::kQueries + static_cast<uint32_t>(item) * L::kQueryStride + column,
               words);
      return;
    }
    const int is_value = item - step_.group;
    store_16(shared + L::kNewest + static_cast<uint32_t>(is_value) * L::kRowBytes + column, words);
    if (slot < 0) return;
    bf16* to = step_.cache.row(slot) + (is_value * step_.num_kv_heads + head_) * kHeadDim;
    *reinterpret_cast<uint4*>(to + pack_index() * kPack) = words;
  }

  const Step& step_;
  int32_t row_;
  int32_t head_;
};

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
    read_rows(L::kPeaks, [&](int row, const float (&all)[kComputeWarps]) {
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
    read_rows(L::kSums, [&](int row, const float (&all)[kComputeWarps]) {
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

  // A number of each row, joined over the four lanes that have columns of it, goes to shared memory.
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
        all[w] = __uint_as_float(
            load_4(shared_ + from + (w * kHeadRows + lane() / 4 + row * 8) * 4));
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
template <int kHeadDim>
__device__ void merge_parts(const Step& step, const float* parts, int64_t stride, int num_parts,
                            bf16* out) {
  constexpr int kAtOnce = 8;  // parts
  constexpr int kItems = 1;
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
    using Tree = TreeSums<typename U::Node, kRows == 1 ? 3 : 2>;
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
    const int32_t num_parts =
        (leaves_of(share.length) + walk.share_leaves - 1) / walk.share_leaves;
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
        merge_parts<kHeadDim>(step, step.parts + first_unit * floats, step.num_kv_heads * floats,
                              num_parts, out);
      }
    }
    await_compute_warps();  // before the next unit's queries and newest rows take these ones' place
  }
}

template <int kHeadDim, int kRows>
__global__ void __launch_bounds__(kThreads, kBlocksPerSm) decode(const __grid_constant__ Step step) {
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
    compute<kHeadDim, kRows>(step, shared, ring, reinterpret_cast<int*>(memory + L::kIsLast));
  } else {
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
