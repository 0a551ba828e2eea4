// One cluster does it all. H is cut into slabs of 64 columns, which are dealt out to the blocks:
// a block multiplies its columns of all rows with its columns of the router, so that it reads a
// part of each once. Then every row belongs to one block, which gets the sums of all blocks for it,
// adds them in the order of the blocks, and routes the row by a warp. What one block has for
// another it writes into the other's shared memory, and the other waits for as many bytes.
#include "kernels/cuda/cluster.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/stream_ring.cuh"
#include "kernels/moe/cuda/place_keys.cuh"
#include "kernels/moe/cuda/route_block.cuh"
#include "kernels/moe/cuda/route_experts.h"
#include "kernels/norm/cuda/norm_row.cuh"

namespace braid::kernels::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / kWarp;
constexpr int kMaxBlocks = 16;
constexpr int kSlabColumns = 64;
constexpr int kPieceBits = 3;
constexpr int kSlabPieces = 1 << kPieceBits;  // of 16 bytes
static_assert(kSlabPieces * kPack == kSlabColumns);
constexpr int kSlabRowBytes = kSlabColumns * 2;
constexpr int kTileRows = 16;    // of x, of a multiplication
constexpr int kTileExperts = 8;  // likewise
constexpr int kMaxExperts = 512;
constexpr int kNormBatch = 4;  // partial sums of a row that a warp makes at once: all of them
// Up to so many rows every block adds up the squares of all rows itself, instead of waiting for
// another block's.
constexpr int kOwnSquaresRows = 2;
constexpr size_t kSharedBytes = 227 * 1024;

// How the work is dealt out, and where in shared memory what lies. All but `resident` and the
// places depend on H and the rows alone.
struct Plan {
  int rows;
  int row_tiles;
  int blocks;         // of the cluster: a power of 2
  int block_bits;     // its exponent
  int row_bits;       // 2^row_bits ≥ rows
  int slabs;          // of H
  int slabs_each;     // of a block, at most
  int resident;       // slabs of the router in shared memory at a time
  int rows_each;      // rows of a block, at most
  int experts;        // rounded up to whole tiles
  int norm_warps;     // partial sums of squares of a row
  bool own_squares;   // every block has the squares of all rows
  uint32_t weights;   // [resident][experts] rows of a slab
  uint32_t x;         // [slabs_each][16 · row_tiles] rows of a slab
  uint32_t addends;   // the same
  uint32_t norm;      // [slabs_each] rows of a slab
  uint32_t parts;     // f32 [rows_each][blocks][experts]
  uint32_t logits;    // f32 [rows_each][E]
  uint32_t scratch;   // f32 [rows_each][route_row_floats], or a BlockScratch
  uint32_t ids;       // i32 [rows_each][32]: what the block's rows choose
  uint32_t scores;    // f32 [rows_each][32]
  uint32_t bias;      // f32 [E]
  uint32_t squares;   // f32 [rows][norm_warps]
  uint32_t scales;    // f32 [rows]
  uint32_t kv_slots;  // i32 [rows_each]
  uint32_t keys;      // i32 [rows · choices of a row]
  uint32_t barriers;  // one for each of Exchange
  uint32_t bytes;
};

struct Parameters {
  Plan plan;
  RouteExpertsDesc desc;
  RouteExpertsArgs args;
  int of_row;             // choices of a row, shared slots among them
  bool constant_weights;  // they may be read before the kernel before has ended
};

// What blocks tell each other.
enum Exchange : uint32_t { kScales, kSums, kKeys, kNumExchanges };

// Where a piece of 16 bytes stands in its slab's row: those of an odd row are swapped by halves, so
// that the eight lanes that are served together, four pieces of two rows, hit different banks.
__device__ uint32_t piece_offset(int row, int piece) {
  return static_cast<uint32_t>(row * kSlabRowBytes + (piece ^ ((row & 1) << 2)) * 16);
}

// A block, as one of its threads sees it.
class Block {
 public:
  __device__ Block(const Parameters& p, std::byte* shared)
      : p_(p),
        plan_(p.plan),
        shared_(shared),
        base_(sm90::shared_address(shared)),
        rank_(static_cast<int>(sm90::cluster_rank())),
        thread_(static_cast<int>(threadIdx.x)),
        warp_(thread_ / kWarp),
        lane_(thread_ % kWarp),
        num_slabs_((plan_.slabs - rank_ + plan_.blocks - 1) >> plan_.block_bits),
        num_rows_((plan_.rows - rank_ + plan_.blocks - 1) >> plan_.block_bits) {}

  // How much others will tell this block. await_cluster() stands before the first of them does.
  __device__ void expect_others() const {
    if (thread_ == 0) {
      const uint32_t bytes[kNumExchanges] = {
          static_cast<uint32_t>(plan_.rows) * 4,
          static_cast<uint32_t>(num_rows_ * plan_.blocks * plan_.experts) * 4,
          static_cast<uint32_t>(plan_.rows * p_.of_row) * 4};
#pragma unroll
      for (uint32_t what = 0; what < kNumExchanges; ++what) {
        sm90::barrier_init(barrier(what), 1);
        sm90::barrier_arrive_expect(barrier(what), bytes[what]);
      }
      sm90::publish_barriers();
      const int keys = plan_.rows * p_.of_row;
      for (int i = keys; i < padded_keys(keys); ++i) at<int32_t>(plan_.keys)[i] = kNotHere;
    }
    __syncwarp();
    sm90::arrive_at_cluster();
  }
  __device__ void await_others(Exchange what) const { sm90::barrier_wait(barrier(what), 0); }

  // Asks for the block's columns of the router, slabs [first, first + resident) of the block's.
  __device__ void load_router(int first) const {
    const int experts = p_.desc.route.num_experts;
    for (int s = first; s < min(first + plan_.resident, num_slabs_); ++s) {
      const uint32_t to = base_ + plan_.weights +
                          static_cast<uint32_t>((s - first) * plan_.experts * kSlabRowBytes);
      const bf16* const from = p_.args.router.data + column(s);
      for (int i = thread_; i < experts * kSlabPieces; i += kThreads) {
        const int row = i / kSlabPieces, piece = i % kSlabPieces;
        sm90::copy_16(to + piece_offset(row, piece),
                      from + int64_t{row} * p_.args.router.stride + piece * kPack, 16);
      }
    }
  }

  // What else of weights the block needs.
  __device__ void load_small_weights() const {
    for (int i = thread_; i < num_slabs_ * kSlabPieces; i += kThreads) {
      const int slab = i / kSlabPieces, piece = i % kSlabPieces;
      sm90::copy_16(base_ + plan_.norm + static_cast<uint32_t>(i) * 16,
                    p_.args.norm_weight + column(slab) + piece * kPack, 16);
    }
    if (p_.args.route.bias == nullptr) return;
    auto* const bias = at<float>(plan_.bias);
    for (int e = thread_; e < p_.desc.route.num_experts; e += kThreads) {
      bias[e] = p_.args.route.bias[e];
    }
  }

  // Asks for the block's columns of all rows. Each thread waits for its pieces alone, and is the
  // one that normalises them.
  __device__ void load_rows() const {
    for_each_piece([this](int slab, int row, int piece) {
      const int64_t col = column(slab) + piece * kPack;
      sm90::copy_16(base_ + x_offset(plan_.x, slab, row, piece), p_.args.x.row(row) + col, 16);
      if (p_.args.addend.data == nullptr) return;
      sm90::copy_16(base_ + x_offset(plan_.addends, slab, row, piece),
                    p_.args.addend.row(row) + col, 16);
    });
    if (thread_ < num_rows_) {
      at<int32_t>(plan_.kv_slots)[thread_] = p_.args.route.slots[row_of(thread_)];
    }
  }

  // The partial sums of squares of the rows that are this block's to add up. `meanwhile` runs while
  // the first row is on its way.
  template <typename Body>
  __device__ void add_up_squares(Body meanwhile) const {
    for (int i = 0; i < max(squared_rows(), 1); ++i) {
      const bool real = i < squared_rows();
      Pack<bf16> packs[kNormBatch];
#pragma unroll
      for (int b = 0; b < kNormBatch; ++b) {
        packs[b] = {};
        const int first = (warp_ + b * kWarps) * kWarp * kPack + lane_ * kPack;
        if (real && first < hidden()) packs[b] = load_row(squared_row(i), first);
      }
      if (i == 0) meanwhile();
#pragma unroll
      for (int b = 0; b < kNormBatch; ++b) {
        const int warp = warp_ + b * kWarps;
        if (!real || warp >= plan_.norm_warps) break;
        float sum = add_squares(0.0f, packs[b]);
        const int step = plan_.norm_warps * kWarp * kPack;
        for (int next = (warp * kWarp + lane_) * kPack + step; next < hidden(); next += step) {
          sum = add_squares(sum, load_row(squared_row(i), next));
        }
        sum = plan_.norm_warps == 1 ? warp_sum(sum) : lane_squares(sum);
        if (lane_ == 0) at<float>(plan_.squares)[i * plan_.norm_warps + warp] = sum;
      }
    }
  }

  // Tells all blocks the scales of these rows; behind a barrier of this block.
  __device__ void share_scales() const {
    const int bits = plan_.own_squares ? 0 : plan_.block_bits;
    const int i = thread_ >> bits;
    if (i >= squared_rows()) return;
    float squares = 0;
#pragma unroll 8
    for (int w = 0; w < plan_.norm_warps; ++w) {
      squares += at<float>(plan_.squares)[i * plan_.norm_warps + w];
    }
    const float scale = norm_scale(squares, hidden(), p_.desc.norm.eps);
    if (plan_.own_squares) {
      at<float>(plan_.scales)[i] = scale;
    } else {
      tell(thread_ & (plan_.blocks - 1), plan_.scales, row_of(i), __float_as_uint(scale), kScales);
    }
  }

  // Normalises the block's columns, where they lie; they and the sums are stored.
  __device__ void normalize() const {
    for_each_piece([this](int slab, int row, int piece) {
      const int64_t col = column(slab) + piece * kPack;
      auto& x = *at<Pack<bf16>>(x_offset(plan_.x, slab, row, piece));
      if (p_.args.addend.data != nullptr) {
        x = add_packs(x, *at<Pack<bf16>>(x_offset(plan_.addends, slab, row, piece)));
        store_pack<true>(p_.args.sum.row(row) + col, kPack, x);
      }
      const auto& weights = at<Pack<bf16>>(plan_.norm)[slab * kSlabPieces + piece];
      x = scale_pack(x, weights, at<float>(plan_.scales)[row]);
      store_pack<true>(p_.args.normed.row(row) + col, kPack, x);
    });
  }

  // Multiplies this warp's experts with a tile of rows, over slabs [first, first + resident).
  template <int kTiles>
  __device__ void multiply(int row_tile, int first, sm90::TileSums (&sums)[kTiles]) const {
    const int group = lane_ / 4, piece = lane_ % 4;
    for (int s = first; s < min(first + plan_.resident, num_slabs_); ++s) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {  // 32 columns each
        const int row = row_tile * kTileRows + group;
        const uint4 low = sm90::load_16(base_ + x_offset(plan_.x, s, row, piece + 4 * half));
        const uint4 high = sm90::load_16(base_ + x_offset(plan_.x, s, row + 8, piece + 4 * half));
#pragma unroll
        for (int j = 0; j < kTiles; ++j) {
          const int expert = (warp_ + j * kWarps) * kTileExperts;
          if (expert >= plan_.experts) continue;
          const int weight_row = (s - first) * plan_.experts + expert + group;
          sums[j].add(
              low, high,
              sm90::load_16(base_ + plan_.weights + piece_offset(weight_row, piece + 4 * half)));
        }
      }
    }
  }

  // Gives the sums to the blocks that the rows belong to.
  template <int kTiles>
  __device__ void share_sums(int row_tile, const sm90::TileSums (&sums)[kTiles]) const {
    const int group = lane_ / 4, pair = lane_ % 4 * 2;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = row_tile * kTileRows + group + 8 * half;
      if (row >= plan_.rows) continue;
      const int owner = row & (plan_.blocks - 1), row_there = row >> plan_.block_bits;
      const int part = ((row_there << plan_.block_bits) + rank_) * plan_.experts;
#pragma unroll
      for (int j = 0; j < kTiles; ++j) {
        const int expert = (warp_ + j * kWarps) * kTileExperts;
        if (expert >= plan_.experts) continue;
        tell(owner, plan_.parts, part + expert + pair,
             make_float2(sums[j].at(2 * half), sums[j].at(2 * half + 1)), kSums);
      }
    }
  }

  // The logits of the block's rows.
  __device__ void add_up_logits() const {
    const int experts = p_.desc.route.num_experts;
    for (int i = 0; i < num_rows_; ++i) {
      for (int e = thread_; e < experts; e += kThreads) {
        const float* part = at<float>(plan_.parts) + i * plan_.blocks * plan_.experts + e;
        float sum = *part;
#pragma unroll 5
        for (int b = 1; b < plan_.blocks; ++b) sum = __fadd_rn(sum, part[b * plan_.experts]);
        at<float>(plan_.logits)[i * experts + e] = sum;
        p_.args.logits.row(row_of(i))[e] = sum;
      }
    }
  }

  // What the block's rows choose: one after the other by all warps, or each by a warp.
  __device__ void choose_experts() const {
    const RouteDesc& desc = p_.desc.route;
    RouteArgs args = p_.args.route;
    if (args.bias != nullptr) args.bias = at<float>(plan_.bias);
    const bool plain = routing::is_plain(desc, args, kThreads);
    for (int i = 0; plain && i < num_rows_; ++i) {
      if (i > 0) __syncthreads();
      if (at<int32_t>(plan_.kv_slots)[i] >= 0) {
        const bool chosen = routing::choose_by_block(desc, args.bias, logits_of(i), block_scratch(),
                                                     at<int32_t>(plan_.ids) + i * kWarp,
                                                     at<float>(plan_.scores) + i * kWarp);
        if (!chosen) choose_by_warp(desc, args, i, i);
      } else if (thread_ < kWarp) {
        at<int32_t>(plan_.ids)[i * kWarp + thread_] = -1;
      }
    }
    if (!plain) {
      for (int i = 0; i < num_rows_; i += kWarps) choose_by_warp(desc, args, i, num_rows_ - 1);
    }
    __syncthreads();
  }

  // Tells all blocks what the block's rows choose, and finishes these rows: some warps do the one,
  // some the other.
  __device__ void share_choices() const {
    const int finishing = min(num_rows_, kWarps / 2);
    for (int i = warp_; warp_ < finishing && i < num_rows_; i += finishing) {
      const int index = i * kWarp + lane_;
      routing::finish_row(p_.desc.route, p_.args.route, row_of(i),
                          {at<int32_t>(plan_.ids)[index], at<float>(plan_.scores)[index]});
    }
    if (warp_ < finishing) return;
    const int others = kThreads - finishing * kWarp;
    for (int i = 0; i < num_rows_; ++i) {
      for (int to = thread_ - finishing * kWarp; to < p_.of_row << plan_.block_bits; to += others) {
        const int k = to >> plan_.block_bits, t = row_of(i);
        const int top_k = p_.desc.route.top_k;
        const int slot = k < top_k ? local_slot(p_.desc.permute, p_.args.table,
                                                at<int32_t>(plan_.ids)[i * kWarp + k], t)
                                   : shared_slot(p_.desc.permute, k, top_k);
        const int choice = t * p_.of_row + k;
        tell(to & (plan_.blocks - 1), plan_.keys, choice,
             static_cast<uint32_t>(key_of(slot, choice)), kKeys);
      }
    }
  }

  // This block's share of the lists.
  __device__ void make_lists() const {
    place_keys(at<int32_t>(plan_.keys), plan_.rows * p_.of_row, p_.of_row,
               p_.desc.permute.num_slots, {p_.args.offsets, p_.args.source, p_.args.places},
               rank_ * kThreads + thread_, plan_.blocks * kThreads);
  }

  __device__ int num_slabs() const { return num_slabs_; }

 private:
  template <typename T>
  __device__ T* at(uint32_t offset) const {
    return reinterpret_cast<T*>(shared_ + offset);
  }
  __device__ const float* logits_of(int row) const {
    return at<float>(plan_.logits) + row * p_.desc.route.num_experts;
  }
  __device__ routing::BlockScratch block_scratch() const {
    auto* const keys = at<uint32_t>(plan_.scratch);
    return {reinterpret_cast<float*>(keys + kThreads), keys, keys + 2 * kThreads};
  }
  // Warp w chooses for row first + w, up to `last`.
  __device__ void choose_by_warp(const RouteDesc& desc, const RouteArgs& args, int first,
                                 int last) const {
    const int i = first + warp_;
    if (i > last) return;
    float* const scratch =
        at<float>(plan_.scratch) + static_cast<size_t>(i) * routing::route_row_floats(desc);
    const routing::Chosen chosen = routing::choose_row(desc, args, row_of(i), logits_of(i),
                                                       at<int32_t>(plan_.kv_slots)[i], scratch);
    at<int32_t>(plan_.ids)[i * kWarp + lane_] = chosen.id;
    at<float>(plan_.scores)[i * kWarp + lane_] = chosen.score;
  }
  __device__ uint32_t barrier(uint32_t what) const { return base_ + plan_.barriers + what * 8; }
  // Writes element `index`, of 4 bytes, and perhaps the next at `offset` in another block.
  template <typename Value>
  __device__ void tell(int block, uint32_t offset, int index, Value value, Exchange what) const {
    const auto rank = static_cast<uint32_t>(block);
    sm90::store_remote(sm90::address_in(base_ + offset + static_cast<uint32_t>(index) * 4, rank),
                       value, sm90::address_in(barrier(what), rank));
  }

  // The first column of one of the block's slabs, and the rows that belong to it.
  __device__ int column(int slab) const {
    return (rank_ + (slab << plan_.block_bits)) * kSlabColumns;
  }
  __device__ int row_of(int index) const { return rank_ + (index << plan_.block_bits); }

  __device__ uint32_t x_offset(uint32_t base, int slab, int row, int piece) const {
    return base + piece_offset(slab * plan_.row_tiles * kTileRows + row, piece);
  }
  template <typename Body>
  __device__ void for_each_piece(Body body) const {
    for (int i = thread_; i < num_slabs_ << (plan_.row_bits + kPieceBits); i += kThreads) {
      const int row = i / kSlabPieces & ((1 << plan_.row_bits) - 1);
      if (row < plan_.rows) body(i >> (plan_.row_bits + kPieceBits), row, i % kSlabPieces);
    }
  }

  // The rows whose squares this block adds up.
  __device__ int squared_rows() const { return plan_.own_squares ? plan_.rows : num_rows_; }
  __device__ int squared_row(int index) const { return plan_.own_squares ? index : row_of(index); }
  __device__ int hidden() const { return static_cast<int>(p_.args.hidden); }
  // A pack of a row, with the addend in it.
  __device__ Pack<bf16> load_row(int row, int col) const {
    const Pack<bf16> pack = load_pack<true>(p_.args.x.row(row) + col, kPack);
    if (p_.args.addend.data == nullptr) return pack;
    return add_packs(pack, load_pack<true>(p_.args.addend.row(row) + col, kPack));
  }

  const Parameters& p_;
  const Plan& plan_;
  std::byte* shared_;
  uint32_t base_;
  int rank_, thread_, warp_, lane_;
  int num_slabs_;
  int num_rows_;
};

// kTiles: of experts, of a warp.
template <int kTiles>
__global__ void __launch_bounds__(kThreads) route_few(const __grid_constant__ Parameters p) {
  extern __shared__ __align__(128) std::byte shared[];
  const Block block(p, shared);
  block.expect_others();
  release_successor();
  if (p.constant_weights) {
    block.load_router(0);
    block.load_small_weights();
  }
  await_predecessor();
  if (!p.constant_weights) {
    block.load_router(0);
    block.load_small_weights();
  }

  block.add_up_squares([&] {
    block.load_rows();
    sm90::commit_copies();
  });
  sm90::await_cluster();
  __syncthreads();
  block.share_scales();
  sm90::wait_copies<0>();
  if (!p.plan.own_squares) block.await_others(kScales);
  __syncthreads();
  block.normalize();
  __syncthreads();

  // Where the router takes more than one round, there is one tile of rows.
  sm90::TileSums sums[kTiles];
  for (int first = 0; first < block.num_slabs(); first += p.plan.resident) {
    if (first > 0) {
      __syncthreads();
      block.load_router(first);
      sm90::commit_copies();
      sm90::wait_copies<0>();
      __syncthreads();
    }
    for (int tile = 0; tile < p.plan.row_tiles; ++tile) {
      if (first == 0) {
#pragma unroll
        for (int j = 0; j < kTiles; ++j) sums[j] = {};
      }
      block.multiply(tile, first, sums);
      if (first + p.plan.resident >= block.num_slabs()) block.share_sums(tile, sums);
    }
  }
  block.await_others(kSums);
  block.add_up_logits();
  __syncthreads();
  block.choose_experts();
  block.share_choices();
  block.await_others(kKeys);
  block.make_lists();
}

// Room for `count` elements of `bytes`, on 16 bytes.
uint32_t take(Plan& plan, int64_t count, int64_t bytes) {
  const uint32_t offset = plan.bytes;
  plan.bytes += static_cast<uint32_t>(ceil_div(count * bytes, 16) * 16);
  return offset;
}

Plan make_plan(const RouteExpertsDesc& desc, const RouteExpertsArgs& args) {
  const auto rows = static_cast<int>(args.route.rows);
  const int experts = desc.route.num_experts;
  Plan plan{};
  plan.rows = rows;
  plan.row_tiles = static_cast<int>(ceil_div(rows, kTileRows));
  plan.slabs = static_cast<int>(args.hidden / kSlabColumns);
  plan.blocks = kMaxBlocks;
  while (plan.blocks > plan.slabs) plan.blocks /= 2;
  while (1 << plan.block_bits < plan.blocks) ++plan.block_bits;
  while (1 << plan.row_bits < rows) ++plan.row_bits;
  plan.slabs_each = static_cast<int>(ceil_div(plan.slabs, plan.blocks));
  plan.rows_each = static_cast<int>(ceil_div(rows, plan.blocks));
  plan.experts = static_cast<int>(ceil_div(experts, kTileExperts)) * kTileExperts;
  plan.norm_warps = norm_threads(static_cast<int>(args.hidden)) / kWarp;
  plan.own_squares = rows <= kOwnSquaresRows;
  const int64_t x_rows = int64_t{plan.slabs_each} * plan.row_tiles * kTileRows;
  plan.x = take(plan, x_rows, kSlabRowBytes);
  plan.addends = take(plan, args.addend.data == nullptr ? 0 : x_rows, kSlabRowBytes);
  plan.norm = take(plan, plan.slabs_each, kSlabRowBytes);
  plan.parts = take(plan, int64_t{plan.rows_each} * plan.blocks * plan.experts, sizeof(float));
  plan.logits = take(plan, int64_t{plan.rows_each} * experts, sizeof(float));
  const auto floats = static_cast<int64_t>(routing::route_row_floats(desc.route));
  plan.scratch =
      take(plan, std::max<int64_t>(plan.rows_each * floats, 2 * kThreads + kWarps), sizeof(float));
  plan.ids = take(plan, int64_t{plan.rows_each} * kWarp, sizeof(int32_t));
  plan.scores = take(plan, int64_t{plan.rows_each} * kWarp, sizeof(float));
  plan.bias = take(plan, experts, sizeof(float));
  plan.squares = take(plan, int64_t{rows} * plan.norm_warps, sizeof(float));
  plan.scales = take(plan, rows, sizeof(float));
  plan.kv_slots = take(plan, plan.rows_each, sizeof(int32_t));
  const int64_t of_row = desc.route.top_k + desc.permute.num_shared;
  plan.keys = take(plan, rows * of_row, sizeof(int32_t));
  plan.barriers = take(plan, kNumExchanges, 8);
  plan.weights = plan.bytes;
  const int64_t slab = int64_t{plan.experts} * kSlabRowBytes;
  const int64_t left = static_cast<int64_t>(kSharedBytes) - plan.bytes;
  plan.resident = static_cast<int>(std::min<int64_t>(plan.slabs_each, left > 0 ? left / slab : 0));
  plan.bytes += static_cast<uint32_t>(plan.resident * slab);
  return plan;
}

using Kernel = void (*)(Parameters);

Kernel kernel_for(const Plan& plan) {
  const int tiles = static_cast<int>(ceil_div(plan.experts, kTileExperts * kWarps));
  return tiles <= 1   ? route_few<1>
         : tiles <= 2 ? route_few<2>
         : tiles <= 4 ? route_few<4>
                      : route_few<8>;
}

// Lets the kernel have clusters of kMaxBlocks blocks, and all shared memory; whether the device
// has room for one such cluster.
bool allow_cluster(Kernel kernel) {
  cudaFuncSetAttribute(kernel, cudaFuncAttributeNonPortableClusterSizeAllowed, 1);
  cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kSharedBytes);
  cudaLaunchAttribute cluster{};
  cluster.id = cudaLaunchAttributeClusterDimension;
  cluster.val.clusterDim = {kMaxBlocks, 1, 1};
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(kMaxBlocks);
  config.blockDim = dim3(kThreads);
  config.dynamicSmemBytes = kSharedBytes;
  config.attrs = &cluster;
  config.numAttrs = 1;
  int clusters = 0;
  const bool asked = cudaOccupancyMaxActiveClusters(&clusters, kernel, &config) == cudaSuccess;
  if (!asked) (void)cudaGetLastError();  // or it would be taken for a later launch's
  return asked && clusters > 0;
}

bool has_room(Kernel kernel) {
  static const bool all = allow_cluster(route_few<1>) && allow_cluster(route_few<2>) &&
                          allow_cluster(route_few<4>) && allow_cluster(route_few<8>);
  return all && kernel != nullptr;
}

}  // namespace

bool can_route_experts(const RouteExpertsDesc& desc, const RouteExpertsArgs& args) {
  const int64_t hidden = args.hidden;
  const int32_t of_row = desc.route.top_k + desc.permute.num_shared;
  if (args.route.rows < 1 || args.route.rows > kMaxRoutedRows) return false;
  if (hidden < 2 * kSlabColumns || hidden % kSlabColumns != 0) return false;  // two blocks
  if (desc.route.num_experts > kMaxExperts || of_row > kWarp) return false;
  if (desc.router.epilogue != Epilogue::none || desc.router.k_slots != 1) return false;
  const bool sums = args.addend.data != nullptr;
  if (!is_packed(hidden, args.x) || !is_packed(hidden, args.normed) ||
      !is_packed(hidden, args.router) || !is_packed(hidden, args.norm_weight, 0) ||
      (sums && (!is_packed(hidden, args.addend) || !is_packed(hidden, args.sum)))) {
    return false;
  }
  const Plan plan = make_plan(desc, args);
  if (plan.resident < (plan.row_tiles > 1 ? plan.slabs_each : 1)) return false;
  return has_room(kernel_for(plan));
}

void route_experts(const RouteExpertsDesc& desc, const RouteExpertsArgs& args,
                   const KernelStream& on) {
  const Plan plan = make_plan(desc, args);
  const Parameters parameters{.plan = plan,
                              .desc = desc,
                              .args = args,
                              .of_row = desc.route.top_k + desc.permute.num_shared,
                              .constant_weights = on.follows && on.constant_weights};
  const auto blocks = static_cast<unsigned>(plan.blocks);
  launch_kernel(on,
                {.grid = dim3(blocks),
                 .block = dim3(kThreads),
                 .shared_bytes = plan.bytes,
                 .cluster = blocks},
                kernel_for(plan), parameters);
}

}  // namespace braid::kernels::cuda
