// A layer's attention in decode on the GPU, in one kernel.
#pragma once

#include "kernels/attention/decode_attention_desc.h"
#include "kernels/attention/paged_rows.h"
#include "kernels/cuda/kernel_stream.h"
#include "kernels/cuda/matrix.h"

namespace braid::kernels::cuda {

struct DecodeAttentionArgs {
  PagedRows rows;
  const int32_t* kv_slots = nullptr;  // [rows], −1: padding
  Matrix<const bf16> qkv;             // [rows, q | k | v]
  const bf16* q_norm = nullptr;       // [head_dim], or none
  const bf16* k_norm = nullptr;       // [head_dim], or none
  Matrix<const float> rotary_table;   // [rows, rotary dims]
  int32_t* plan = nullptr;            // plan_decode()'s, in which parts of rows are counted
  Matrix<bf16> cache;                 // [·, K | V]
  Matrix<bf16> out;                   // [rows, heads · head_dim]
  std::byte* scratch = nullptr;
};

// Whether the one kernel takes these sizes: heads of 64 or 128 columns, at most 16 query heads for
// a KV head, pairs of rotary embedding that are halves of whole packs.
bool can_fuse_decode(const DecodeAttentionDesc& desc);

int64_t decode_attention_scratch_bytes(const DecodeAttentionDesc& desc, int64_t rows,
                                       int64_t num_sequences);

// Sizes that the one kernel doesn't take are computed by the kernels of the single steps.
// Normed and turned queries, keys and what is written to the cache are bit for bit those kernels'.
// The sums over positions have an order of their own, which depends on the row's length alone:
// results are within 4e-3 of exact ones, relative to a row's norm.
//
// All matrices lie on 16 bytes and have strides of whole 16 bytes; the block table names pages of
// the cache everywhere.
void decode_attention(const DecodeAttentionDesc& desc, const DecodeAttentionArgs& args,
                      const KernelStream& stream);

}  // namespace braid::kernels::cuda
