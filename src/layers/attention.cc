#include "layers/attention.h"

#include "ops/norm.h"
#include "ops/rows.h"

namespace braid::layers {

void plan_attention(Builder& b, const GqaDesc& d, StepRows& rows) {
  const ops::AttentionPlanDesc desc{d.attention.num_heads / d.attention.num_kv_heads};
  for (const StepRows::Plan& plan : rows.attention_plans) {
    if (plan.group == desc.group) return;
  }
  rows.attention_plans.push_back({desc.group, ops::attention_plan(b, rows.paged, desc)});
}

namespace {

Value plan_of(Builder& b, const GqaDesc& d, const StepRows& rows) {
  const int32_t group = d.attention.num_heads / d.attention.num_kv_heads;
  for (const StepRows::Plan& plan : rows.attention_plans) {
    if (plan.group == group) return plan.words;
  }
  b.require(false, "the step has a plan for groups of this size", {rows.paged.sequences});
  return rows.paged.sequences;
}

}  // namespace

Value gqa(Builder& b, const GqaWeights& w, const GqaDesc& d, const StepRows& rows, Value x) {
  const int64_t q_cols = int64_t{d.attention.num_heads} * d.attention.head_dim;
  const int64_t kv_cols = int64_t{d.attention.num_kv_heads} * d.attention.head_dim;
  const Value qkv = ops::gemm(b, x, w.qkv, b.format(x), "qkv");  // [T, q | k | v]
  const Value q = b.columns(qkv, 0, q_cols);
  if (w.q_norm.present()) {
    ops::rms_norm_heads(b, q, w.q_norm, d.eps, d.attention.head_dim);
    ops::rms_norm_heads(b, b.columns(qkv, q_cols, kv_cols), w.k_norm, d.eps, d.attention.head_dim);
  }
  ops::rotary(b, b.columns(qkv, 0, q_cols + kv_cols), rows.rotary_table, d.rotary);
  ops::kv_write(b, b.columns(qkv, q_cols, 2 * kv_cols), rows.paged, w.cache);
  const Value heads = ops::attention(b, q, w.cache, rows.paged, plan_of(b, d, rows), d.attention);
  const Value out = ops::gemm(b, heads, w.o, b.format(x), "attention_out");
  return ops::sum_to(b, {out}, b.placement(x), "attention_sum");
}

Value mla(Builder& b, const MlaWeights& w, const MlaLayerDesc& d, const StepRows& rows, Value x) {
  const ops::MlaDesc& desc = d.attention;
  const int32_t interleaved = d.interleaved_rotary ? 1 : 0;
  Value q_in = x;
  if (w.q_a.weight.present()) {
    q_in = ops::rms_norm(b, ops::gemm(b, x, w.q_a, b.format(x), "q_latent"), w.q_a_norm, d.eps,
                         "q_latent_norm");
  }
  const Value q = ops::gemm(b, q_in, w.q_b, b.format(x), "q");  // [T, heads · (nope | rope)]
  ops::rotary(b, q, rows.rotary_table,
              {.head_dim = desc.nope_dim + desc.rope_dim,
               .offset = desc.nope_dim,
               .dims = desc.rope_dim,
               .interleaved = interleaved});

  const Value kv = ops::gemm(b, x, w.kv_a, b.format(x), "kv_latent");  // [T, latent | rope]
  ops::rms_norm_heads(b, b.columns(kv, 0, desc.kv_lora_rank), w.kv_a_norm, d.eps,
                      desc.kv_lora_rank);
  ops::rotary(
      b, b.columns(kv, desc.kv_lora_rank, desc.rope_dim), rows.rotary_table,
      {.head_dim = desc.rope_dim, .offset = 0, .dims = desc.rope_dim, .interleaved = interleaved});
  ops::kv_write(b, kv, rows.paged, w.cache);
  const Value heads = ops::mla_attention(b, q, w.cache, w.kv_b, rows.paged, desc);
  const Value out = ops::gemm(b, heads, w.o, b.format(x), "attention_out");
  return ops::sum_to(b, {out}, b.placement(x), "attention_sum");
}

}  // namespace braid::layers
