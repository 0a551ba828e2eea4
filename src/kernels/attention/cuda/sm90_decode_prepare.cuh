// The queries of a unit, and the row's own key and value.
#pragma once

#include "kernels/attention/cuda/sm90_decode_step.cuh"
#include "kernels/norm/cuda/norm_math.cuh"
#include "kernels/rotary/cuda/turn.cuh"

namespace braid::kernels::cuda::sm90_decode {

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
    const Pack<bf16> other = pack_of(
        make_uint4(__shfl_sync(kAllLanes, own.x, lane), __shfl_sync(kAllLanes, own.y, lane),
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

}  // namespace braid::kernels::cuda::sm90_decode
