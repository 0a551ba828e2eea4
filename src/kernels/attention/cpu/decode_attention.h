// A layer's attention in decode on the CPU: the functions of its single steps, one after another.
#pragma once

#include "kernels/attention/decode_attention_desc.h"
#include "kernels/attention/paged_rows.h"

namespace braid::kernels::cpu {

// plan: DecodePlanLayout(rows.rows, num_kv_heads).words words; those of shares that there are not
// become 0.
void plan_decode(const DecodePlanDesc& desc, const PagedRows& rows, int32_t* plan);

template <typename T>
struct DecodeAttentionArgs {
  PagedRows rows;
  const int32_t* kv_slots = nullptr;  // [rows], −1: padding
  Matrix<const T> qkv;                // [rows, q | k | v]
  const T* q_norm = nullptr;          // [head_dim], or none
  const T* k_norm = nullptr;          // [head_dim], or none
  Matrix<const float> rotary_table;   // [rows, rotary dims]
  int32_t* plan = nullptr;            // plan_decode()'s
  Matrix<T> cache;                    // [·, K | V]
  Matrix<T> out;                      // [rows, heads · head_dim]
};

int64_t decode_attention_scratch_bytes(const DecodeAttentionDesc& desc, int64_t rows,
                                       int64_t element_bytes, int64_t max_positions);

// Sums run over positions in order, as in attention(), whatever the plan says; parts of rows are
// counted in it as if they had been made.
template <typename T>
void decode_attention(const DecodeAttentionDesc& desc, const DecodeAttentionArgs<T>& args,
                      std::byte* scratch);

}  // namespace braid::kernels::cpu
