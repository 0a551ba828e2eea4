#include <cmath>

#include "kernels/attention/cuda/mla.h"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"

namespace braid::kernels::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / kWarp;
constexpr int kTile = 16;        // positions that are in shared memory at a time
constexpr int kMostWidth = 720;  // so that they and the query fit into 48 KiB
constexpr int kColumns = (kMostWidth + kThreads - 1) / kThreads;  // of the latent, a thread

constexpr int64_t shared_floats(int64_t width) { return (kTile + 1) * width + kTile; }
static_assert(shared_floats(kMostWidth) * sizeof(float) <= 48 * 1024);

// Where one head of one row finds its operands.
template <typename T>
struct Head {
  const T* query;         // [nope | rope]
  Matrix<const T> key;    // [nope, rank]: latents to keys
  Matrix<const T> value;  // [v, rank]: latents to values
  T* result;              // [v]
};

// q_nope · W_UK, and q_rope behind it: a query that all heads' common key takes.
template <typename T>
__device__ void absorb_query(const MlaDesc& desc, const Head<T>& head, float* query) {
  for (int c = static_cast<int>(threadIdx.x); c < desc.kv_lora_rank; c += kThreads) {
    float sum = 0;
    for (int i = 0; i < desc.nope_dim; ++i) sum += widen(head.query[i]) * widen(head.key.row(i)[c]);
    query[c] = sum;
  }
  for (int c = static_cast<int>(threadIdx.x); c < desc.rope_dim; c += kThreads) {
    query[desc.kv_lora_rank + c] = widen(head.query[desc.nope_dim + c]);
  }
}

// Cache rows of positions [first, first + count) into shared memory.
template <typename T>
__device__ void load_tile(const MlaDesc& desc, const int32_t* pages, Matrix<const T> cache,
                          int first, int count, float* tile) {
  const int width = desc.kv_lora_rank + desc.rope_dim;
  for (int i = static_cast<int>(threadIdx.x); i < count * width; i += kThreads) {
    const int position = first + i / width;
    const int64_t row =
        int64_t{pages[position / desc.page_size]} * desc.page_size + position % desc.page_size;
    tile[i] = widen(cache.row(row)[i % width]);
  }
}

__device__ float dot_of_warp(const float* a, const float* b, int count) {
  float sum = 0;
  for (int i = static_cast<int>(threadIdx.x) % kWarp; i < count; i += kWarp) sum += a[i] * b[i];
  return warp_sum(sum);
}

// softmax(scores) · latents, brought to the head's values. One block a head of a row; positions in
// tiles, with a running maximum. `shared`: the query [width], which the sum of latents replaces at
// the end, a tile [kTile, width] and its scores.
template <typename T>
__device__ void attend_head(const MlaDesc& desc, const int32_t* pages, int count,
                            Matrix<const T> cache, const Head<T>& head, float* shared) {
  const int rank = desc.kv_lora_rank, width = rank + desc.rope_dim;
  const int thread = static_cast<int>(threadIdx.x), warp = thread / kWarp;
  float* query = shared;
  float* tile = query + width;
  float* scores = tile + kTile * width;
  absorb_query(desc, head, query);
  float sums[kColumns] = {};
  float most = -INFINITY, total = 0;
  for (int first = 0; first < count; first += kTile) {
    const int live = min(kTile, count - first);
    load_tile(desc, pages, cache, first, live, tile);
    __syncthreads();
    for (int p = warp; p < live; p += kWarps) {
      const float score = desc.scale * dot_of_warp(query, tile + p * width, width);
      if (thread % kWarp == 0) scores[p] = score;
    }
    __syncthreads();
    const float before = most;
    for (int p = 0; p < live; ++p) most = fmaxf(most, scores[p]);
    const float fade = expf(before - most);  // 0 at the first tile
    total *= fade;
    for (float& sum : sums) sum *= fade;
    for (int p = 0; p < live; ++p) {
      const float weight = expf(scores[p] - most);
      total += weight;
#pragma unroll
      for (int j = 0; j < kColumns; ++j) {
        const int c = thread + j * kThreads;
        if (c < rank) sums[j] += weight * tile[p * width + c];
      }
    }
    __syncthreads();
  }
#pragma unroll
  for (int j = 0; j < kColumns; ++j) {
    const int c = thread + j * kThreads;
    if (c < rank) query[c] = sums[j] / total;
  }
  __syncthreads();
  for (int i = warp; i < desc.v_head_dim; i += kWarps) {
    float sum = 0;
    for (int c = thread % kWarp; c < rank; c += kWarp)
      sum += query[c] * widen(head.value.row(i)[c]);
    sum = warp_sum(sum);
    if (thread % kWarp == 0) head.result[i] = narrow<T>(sum);
  }
}

template <typename T>
__global__ void __launch_bounds__(kThreads)
    attend_latents(MlaDesc desc, PagedRows rows, Matrix<const T> q, Matrix<const T> cache,
                   Matrix<const T> kv_b, Matrix<T> out) {
  start_in_turn();
  extern __shared__ float shared[];
  const int64_t row = blockIdx.x;
  const int64_t index = blockIdx.y;
  T* result = out.row(row) + index * desc.v_head_dim;
  const int32_t sequence = rows.sequences[row];
  if (sequence < 0) {
    for (int i = static_cast<int>(threadIdx.x); i < desc.v_head_dim; i += kThreads) result[i] = T{};
    return;
  }
  const int64_t weights = index * (desc.nope_dim + desc.v_head_dim);
  const Head<T> head = {
      .query = q.row(row) + index * (desc.nope_dim + desc.rope_dim),
      .key = {kv_b.row(weights), kv_b.stride},
      .value = {kv_b.row(weights + desc.nope_dim), kv_b.stride},
      .result = result,
  };
  attend_head(desc, rows.block_table.row(sequence), rows.positions[row] + 1, cache, head, shared);
}

}  // namespace

bool can_attend_latents(const MlaDesc& desc) {
  return desc.kv_lora_rank + desc.rope_dim <= kMostWidth;
}

template <typename T>
void mla_attention(const MlaDesc& desc, const PagedRows& rows, Matrix<const T> q,
                   Matrix<const T> cache, Matrix<const T> kv_b, Matrix<T> out,
                   const KernelStream& on) {
  if (rows.rows == 0) return;
  const dim3 blocks(static_cast<unsigned>(rows.rows), static_cast<unsigned>(desc.num_heads));
  const auto bytes =
      static_cast<size_t>(shared_floats(desc.kv_lora_rank + desc.rope_dim)) * sizeof(float);
  launch_kernel(on, {blocks, kThreads, bytes}, attend_latents<T>, desc, rows, q, cache, kv_b, out);
}

template void mla_attention(const MlaDesc&, const PagedRows&, Matrix<const float>,
                            Matrix<const float>, Matrix<const float>, Matrix<float>,
                            const KernelStream&);
template void mla_attention(const MlaDesc&, const PagedRows&, Matrix<const bf16>,
                            Matrix<const bf16>, Matrix<const bf16>, Matrix<bf16>,
                            const KernelStream&);

}  // namespace braid::kernels::cuda
