// FlashInfer's kernel is launched directly, not through its dispatch, so that only the tile shapes
// that run here are compiled.
#include "kernels/attention/cuda/flashinfer_attention.h"

#include <cuda_bf16.h>

#include <flashinfer/attention/default_prefill_params.cuh>
#include <flashinfer/attention/mask.cuh>
#include <flashinfer/attention/prefill.cuh>
#include <flashinfer/attention/variants.cuh>
#include <flashinfer/page.cuh>

namespace braid::kernels::cuda {
namespace {

// The kernel's parameters, by the names it knows them by.
struct FlashInferParams {
  using DTypeQ = __nv_bfloat16;
  using DTypeKV = __nv_bfloat16;
  using DTypeO = __nv_bfloat16;
  using IdType = int32_t;

  DTypeQ* q = nullptr;
  flashinfer::paged_kv_t<DTypeKV, IdType> paged_kv;
  DTypeO* o = nullptr;
  float* lse = nullptr;
  IdType* q_indptr = nullptr;  // only where each request begins
  IdType* o_indptr = nullptr;
  flashinfer::uint_fastdiv group_size;
  uint32_t num_qo_heads = 0;
  IdType q_stride_n = 0;
  IdType q_stride_h = 0;
  int32_t window_left = -1;
  float logits_soft_cap = 0;
  float sm_scale = 1;
  IdType* request_indices = nullptr;
  IdType* qo_tile_indices = nullptr;
  IdType* kv_tile_indices = nullptr;
  bool* block_valid_mask = nullptr;
  IdType* kv_chunk_size_ptr = nullptr;
  uint32_t padded_batch_size = 0;
  bool partition_kv = false;

  const int32_t* num_rows = nullptr;
  const int32_t* lengths = nullptr;
  __device__ uint32_t get_qo_len(uint32_t request) const { return num_rows[request]; }
  __device__ uint32_t get_kv_len(uint32_t request) const { return lengths[request]; }
};

FlashInferParams params_of(const AttentionDesc& desc, const PagedRows& rows, Matrix<const bf16> q,
                           Matrix<const bf16> cache, Matrix<bf16> out, const AttentionPlan& plan) {
  const auto stride = static_cast<uint32_t>(cache.stride);
  const auto page_size = static_cast<uint32_t>(desc.page_size);
  FlashInferParams p;
  p.q = reinterpret_cast<__nv_bfloat16*>(const_cast<bf16*>(q.data));
  p.o = reinterpret_cast<__nv_bfloat16*>(out.data);
  p.q_indptr = p.o_indptr = plan.first_rows;
  p.group_size = flashinfer::uint_fastdiv(static_cast<uint32_t>(plan.group));
  p.num_qo_heads = static_cast<uint32_t>(desc.num_heads);
  p.q_stride_n = static_cast<int32_t>(q.stride);
  p.q_stride_h = desc.head_dim;
  p.sm_scale = desc.scale;
  p.kv_tile_indices = plan.zeros;
  p.kv_chunk_size_ptr = plan.no_chunk;
  p.num_rows = plan.num_rows;
  p.lengths = plan.lengths;

  // The block table itself is the list of pages: a request's begin at its sequence's row of it.
  auto& kv = p.paged_kv;
  kv.page_size = flashinfer::uint_fastdiv(page_size);
  kv.num_heads = static_cast<uint32_t>(desc.num_kv_heads);
  kv.head_dim = static_cast<uint32_t>(desc.head_dim);
  kv.batch_size = static_cast<uint32_t>(plan.num_requests);
  kv.stride_page = page_size * stride;
  kv.stride_n = stride;
  kv.stride_h = kv.head_dim;
  kv.k_data = reinterpret_cast<__nv_bfloat16*>(const_cast<bf16*>(cache.data));
  kv.v_data = kv.k_data + int64_t{desc.num_kv_heads} * desc.head_dim;
  kv.indices = const_cast<int32_t*>(rows.block_table.data);
  kv.indptr = plan.pages;
  return p;
}

// kKvTiles: cached rows a warp takes at a time, in sixteens.
template <uint32_t kHeadDim, uint32_t kTileRows, uint32_t kKvTiles>
void launch_tiles(FlashInferParams params, const AttentionTiles& tiles, cudaStream_t stream) {
  if (tiles.num_tiles == 0) return;
  params.request_indices = tiles.requests;
  params.qo_tile_indices = tiles.indices;
  params.block_valid_mask = tiles.valid;
  params.padded_batch_size = static_cast<uint32_t>(tiles.num_tiles);

  constexpr uint32_t kRowWarps = flashinfer::get_num_warps_q(kTileRows);
  constexpr uint32_t kKvWarps = flashinfer::get_num_warps_kv(kTileRows);
  using Variant = flashinfer::DefaultAttention<false, false, false, false>;
  using Traits = flashinfer::KernelTraits<
      flashinfer::MaskMode::kCausal, kTileRows, flashinfer::get_num_mma_q(kTileRows), kKvTiles,
      kHeadDim / 16, kHeadDim / 16, kRowWarps, kKvWarps, flashinfer::PosEncodingMode::kNone,
      __nv_bfloat16, __nv_bfloat16, __nv_bfloat16, float, int32_t, Variant>;
  static_assert(!Traits::IsInvalid());
  const auto kernel = flashinfer::BatchPrefillWithPagedKVCacheKernel<Traits, FlashInferParams>;
  constexpr size_t kShared = sizeof(typename Traits::SharedStorage);
  cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int{kShared});
  const dim3 blocks(params.padded_batch_size, 1, params.paged_kv.num_heads);
  kernel<<<blocks, dim3(32, kRowWarps, kKvWarps), kShared, stream>>>(params);
}

template <uint32_t kHeadDim>
void launch_attention(const FlashInferParams& params, const AttentionPlan& plan,
                      cudaStream_t stream) {
  launch_tiles<kHeadDim, kSmallTile, 2>(params, plan.small, stream);
  launch_tiles<kHeadDim, kLargeTile, 4>(params, plan.large, stream);
}

}  // namespace

void flashinfer_attention(const AttentionDesc& desc, const PagedRows& rows, Matrix<const bf16> q,
                          Matrix<const bf16> cache, Matrix<bf16> out, const AttentionPlan& plan,
                          cudaStream_t stream) {
  const FlashInferParams params = params_of(desc, rows, q, cache, out, plan);
  if (desc.head_dim == 64) {
    launch_attention<64>(params, plan, stream);
  } else {
    launch_attention<128>(params, plan, stream);
  }
}

}  // namespace braid::kernels::cuda
