// Attention over the paged KV cache.
#pragma once

#include "kernels/attention/attention_desc.h"
#include "kernels/attention/attention_plan.h"
#include "kernels/attention/decode_attention_desc.h"
#include "ops/builder.h"

namespace braid::ops {

using kernels::AttentionDesc;
using kernels::AttentionPlanDesc;
using kernels::DecodeAttentionDesc;
using kernels::DecodePlanDesc;
using kernels::MlaDesc;
using kernels::MlaForm;

// Where the step's rows are in their sequences: step inputs, all i32.
struct PagedRows {
  Value sequences;    // [T, 1], −1: padding
  Value positions;    // [T, 1]
  Value kv_slots;     // [T, 1], cache row of each token; −1: padding
  Value block_table;  // [sequences, blocks]
};

struct KvWriteOperand {
  enum : size_t { source, kv_slots, cache, num_operands };
};

// cache[kv_slots[t]] = source[t]: source [T, C], cache [slots, C].
void kv_write(Builder& b, Value source, const PagedRows& rows, Value cache);

struct AttentionPlanOperand {
  enum : size_t { sequences, positions, block_table, plan, num_operands };
};

// A step's plan for all attention() of groups of `desc.group` query heads: i32 [words, 1].
Value attention_plan(Builder& b, const PagedRows& rows, const AttentionPlanDesc& desc);

struct AttentionOperand {
  enum : size_t { q, sequences, positions, block_table, plan, cache, out, num_operands };
};

// q [T, heads · head_dim], cache [slots, 2 · kv_heads · head_dim] → [T, heads · head_dim].
Value attention(Builder& b, Value q, Value cache, const PagedRows& rows, Value plan,
                const AttentionDesc& desc);

struct DecodePlanOperand {
  enum : size_t { sequences, positions, plan, num_operands };
};

// A step's plan for all decode_attention() of `desc.num_kv_heads` KV heads: i32 [words, 1]. Passes
// write these two ops.
Value decode_plan(Builder& b, const PagedRows& rows, const DecodePlanDesc& desc);

struct DecodeAttentionOperand {
  enum : size_t {
    qkv,
    q_norm,
    k_norm,
    rotary_table,
    sequences,
    positions,
    kv_slots,
    block_table,
    plan,
    cache,
    out,
    num_operands
  };
};

// The norms [1, head_dim] of q and k; absent: none.
struct HeadNorms {
  Value q;
  Value k;
};

// qkv [T, q | k | v], rotary_table f32 [T, rotary dims], cache [slots, 2 · kv_heads · head_dim] →
// [T, heads · head_dim].
Value decode_attention(Builder& b, Value qkv, const HeadNorms& norms, Value rotary_table,
                       Value cache, const PagedRows& rows, Value plan,
                       const DecodeAttentionDesc& desc);

struct MlaOperand {
  enum : size_t { q, sequences, positions, block_table, cache, kv_b, out, num_operands };
};

// q [T, heads · (nope + rope)], cache [slots, kv_lora_rank + rope],
// kv_b [heads · (nope + v), kv_lora_rank] → [T, heads · v].
Value mla_attention(Builder& b, Value q, Value cache, Value kv_b, const PagedRows& rows,
                    const MlaDesc& desc);

}  // namespace braid::ops

template <>
const braid::flow::KindInfo& braid::flow::kind_of<braid::kernels::KvWriteDesc>();
template <>
const braid::flow::KindInfo& braid::flow::kind_of<braid::kernels::AttentionDesc>();
template <>
const braid::flow::KindInfo& braid::flow::kind_of<braid::kernels::AttentionPlanDesc>();
template <>
const braid::flow::KindInfo& braid::flow::kind_of<braid::kernels::DecodePlanDesc>();
template <>
const braid::flow::KindInfo& braid::flow::kind_of<braid::kernels::DecodeAttentionDesc>();
template <>
const braid::flow::KindInfo& braid::flow::kind_of<braid::kernels::MlaDesc>();
