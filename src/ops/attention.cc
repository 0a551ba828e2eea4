#include "ops/attention.h"

#include "ops/kind.h"

using braid::kernels::AttentionDesc;
using braid::kernels::AttentionPlanDesc;
using braid::kernels::DecodeAttentionDesc;
using braid::kernels::DecodePlanDesc;
using braid::kernels::KvWriteDesc;
using braid::kernels::MlaDesc;

namespace braid::ops {
namespace {

// The whole cache is declared, because data say which of its rows are written. It is read-write,
// because the other rows keep their content.
constexpr auto kWriteOperands = flow::operand_specs<KvWriteOperand>({
    {KvWriteOperand::source, "source"},
    {KvWriteOperand::kv_slots, "kv_slots"},
    {KvWriteOperand::cache, "cache", Access::read_write, Slicing::whole},
});

Work write_work(const void* /*desc*/, std::span<const Type> types) {
  return {.flop = 0, .bytes = 2 * bytes(types[KvWriteOperand::source])};
}

constexpr auto kAttentionPlanOperands = flow::operand_specs<AttentionPlanOperand>({
    {AttentionPlanOperand::sequences, "sequences", Access::read, Slicing::whole},
    {AttentionPlanOperand::positions, "positions", Access::read, Slicing::whole},
    {AttentionPlanOperand::block_table, "block_table", Access::read, Slicing::whole},
    {AttentionPlanOperand::plan, "plan", Access::write, Slicing::whole},
});
constexpr auto kAttentionOperands = flow::operand_specs<AttentionOperand>({
    {AttentionOperand::q, "q"},
    {AttentionOperand::sequences, "sequences"},
    {AttentionOperand::positions, "positions"},
    {AttentionOperand::block_table, "block_table", Access::read, Slicing::whole},
    {AttentionOperand::plan, "plan", Access::read, Slicing::whole},
    {AttentionOperand::cache, "cache", Access::read, Slicing::whole},
    {AttentionOperand::out, "out", Access::write},
});
constexpr auto kDecodePlanOperands = flow::operand_specs<DecodePlanOperand>({
    {DecodePlanOperand::sequences, "sequences", Access::read, Slicing::whole},
    {DecodePlanOperand::positions, "positions", Access::read, Slicing::whole},
    {DecodePlanOperand::plan, "plan", Access::write, Slicing::whole},
});
// The plan is read-write, because blocks count in it which parts of a row are ready.
constexpr auto kDecodeOperands = flow::operand_specs<DecodeAttentionOperand>({
    {DecodeAttentionOperand::qkv, "qkv"},
    {DecodeAttentionOperand::q_norm, "q_norm", Access::read, Slicing::whole, true},
    {DecodeAttentionOperand::k_norm, "k_norm", Access::read, Slicing::whole, true},
    {DecodeAttentionOperand::rotary_table, "rotary_table"},
    {DecodeAttentionOperand::sequences, "sequences"},
    {DecodeAttentionOperand::positions, "positions"},
    {DecodeAttentionOperand::kv_slots, "kv_slots"},
    {DecodeAttentionOperand::block_table, "block_table", Access::read, Slicing::whole},
    {DecodeAttentionOperand::plan, "plan", Access::read_write, Slicing::whole},
    {DecodeAttentionOperand::cache, "cache", Access::read_write, Slicing::whole},
    {DecodeAttentionOperand::out, "out", Access::write},
});
constexpr auto kMlaOperands = flow::operand_specs<MlaOperand>({
    {MlaOperand::q, "q"},
    {MlaOperand::sequences, "sequences"},
    {MlaOperand::positions, "positions"},
    {MlaOperand::block_table, "block_table", Access::read, Slicing::whole},
    {MlaOperand::cache, "cache", Access::read, Slicing::whole},
    {MlaOperand::kv_b, "kv_b", Access::read, Slicing::whole},
    {MlaOperand::out, "out", Access::write},
});

// How much of the cache is read depends on the positions: only what is certain is counted.
template <typename Operand>
Work attention_work(const void* /*desc*/, std::span<const Type> types) {
  return {.flop = 0, .bytes = bytes(types[Operand::q]) + bytes(types[Operand::out])};
}

Work decode_work(const void* /*desc*/, std::span<const Type> types) {
  using Operand = DecodeAttentionOperand;
  return {.flop = 0,
          .bytes = bytes(types[Operand::qkv]) + bytes(types[Operand::rotary_table]) +
                   bytes(types[Operand::out])};
}

constexpr KindInfo kWrite = {.name = "kv_write", .operands = kWriteOperands, .work = write_work};
constexpr KindInfo kAttentionPlan = {.name = "attention_plan",
                                     .operands = kAttentionPlanOperands,
                                     .row_invariant = false,
                                     .work = moves_operands};
constexpr KindInfo kAttention = {.name = "attention",
                                 .operands = kAttentionOperands,
                                 .row_invariant = false,  // the plan numbers the rows of the step
                                 .work = attention_work<AttentionOperand>};
constexpr KindInfo kDecodePlan = {.name = "decode_plan",
                                  .operands = kDecodePlanOperands,
                                  .row_invariant = false,
                                  .work = moves_operands};
constexpr KindInfo kDecode = {.name = "decode_attention",
                              .operands = kDecodeOperands,
                              .row_invariant = false,  // as attention
                              .work = decode_work};
constexpr KindInfo kMla = {
    .name = "mla_attention", .operands = kMlaOperands, .work = attention_work<MlaOperand>};

}  // namespace
}  // namespace braid::ops

template <>
const braid::flow::KindInfo& braid::flow::kind_of<KvWriteDesc>() {
  return ops::kWrite;
}

template <>
const braid::flow::KindInfo& braid::flow::kind_of<AttentionDesc>() {
  return ops::kAttention;
}

template <>
const braid::flow::KindInfo& braid::flow::kind_of<AttentionPlanDesc>() {
  return ops::kAttentionPlan;
}

template <>
const braid::flow::KindInfo& braid::flow::kind_of<DecodePlanDesc>() {
  return ops::kDecodePlan;
}

template <>
const braid::flow::KindInfo& braid::flow::kind_of<DecodeAttentionDesc>() {
  return ops::kDecode;
}

template <>
const braid::flow::KindInfo& braid::flow::kind_of<MlaDesc>() {
  return ops::kMla;
}

namespace braid::ops {

void kv_write(Builder& b, Value source, const PagedRows& rows, Value cache) {
  b.require(!b.placement(source).is_partial(), "the cache takes fully reduced rows", {source});
  b.require(b.num_cols(source) == b.num_cols(cache), "a cache row holds a source row",
            {source, cache});
  b.emit(kernels::KvWriteDesc{}, {{KvWriteOperand::source, source},
                                  {KvWriteOperand::kv_slots, rows.kv_slots},
                                  {KvWriteOperand::cache, cache}});
}

Value attention_plan(Builder& b, const PagedRows& rows, const AttentionPlanDesc& desc) {
  b.require(desc.group > 0, "a group has query heads", {rows.sequences});
  const int64_t words =
      kernels::AttentionPlan(desc, b.num_rows(rows.sequences), b.num_rows(rows.block_table)).words;
  const Value plan = b.step("attention_plan", Format::i32, words, 1, b.placement(rows.sequences));
  b.emit(desc, {{AttentionPlanOperand::sequences, rows.sequences},
                {AttentionPlanOperand::positions, rows.positions},
                {AttentionPlanOperand::block_table, rows.block_table},
                {AttentionPlanOperand::plan, plan}});
  return plan;
}

Value attention(Builder& b, Value q, Value cache, const PagedRows& rows, Value plan,
                const AttentionDesc& desc) {
  b.require(!b.placement(q).is_partial(), "attention takes fully reduced rows", {q});
  b.require(b.num_cols(q) == int64_t{desc.num_heads} * desc.head_dim &&
                b.num_cols(cache) == int64_t{2} * desc.num_kv_heads * desc.head_dim,
            "q holds the heads, the cache K and V of the KV heads", {q, cache});
  const Value out = b.step("attention", b.format(q), b.num_rows(q), b.num_cols(q), b.placement(q));
  b.emit(desc, {{AttentionOperand::q, q},
                {AttentionOperand::sequences, rows.sequences},
                {AttentionOperand::positions, rows.positions},
                {AttentionOperand::block_table, rows.block_table},
                {AttentionOperand::plan, plan},
                {AttentionOperand::cache, cache},
                {AttentionOperand::out, out}});
  return out;
}

Value decode_plan(Builder& b, const PagedRows& rows, const DecodePlanDesc& desc) {
  b.require(desc.num_kv_heads > 0, "there are KV heads", {rows.sequences});
  const kernels::DecodePlanLayout layout(b.num_rows(rows.sequences), desc.num_kv_heads);
  const Value plan =
      b.step("decode_plan", Format::i32, layout.words, 1, b.placement(rows.sequences));
  b.emit(desc, {{DecodePlanOperand::sequences, rows.sequences},
                {DecodePlanOperand::positions, rows.positions},
                {DecodePlanOperand::plan, plan}});
  return plan;
}

Value decode_attention(Builder& b, Value qkv, const HeadNorms& norms, Value rotary_table,
                       Value cache, const PagedRows& rows, Value plan,
                       const DecodeAttentionDesc& desc) {
  const AttentionDesc& a = desc.attention;
  const int64_t kv_cols = int64_t{2} * a.num_kv_heads * a.head_dim;
  const int64_t q_cols = int64_t{a.num_heads} * a.head_dim;
  b.require(!b.placement(qkv).is_partial(), "attention takes fully reduced rows", {qkv});
  b.require(b.num_cols(qkv) == q_cols + kv_cols && b.num_cols(cache) == kv_cols &&
                b.num_cols(rotary_table) == desc.rotary.dims,
            "qkv holds q, k and v of the heads, the cache K and V of the KV heads",
            {qkv, cache, rotary_table});
  b.require(norms.q.present() == norms.k.present(), "q and k have norms, or neither", {qkv});
  const Value out = b.step("attention", b.format(qkv), b.num_rows(qkv), q_cols, b.placement(qkv));
  b.emit(desc, {{DecodeAttentionOperand::qkv, qkv},
                {DecodeAttentionOperand::q_norm, norms.q},
                {DecodeAttentionOperand::k_norm, norms.k},
                {DecodeAttentionOperand::rotary_table, rotary_table},
                {DecodeAttentionOperand::sequences, rows.sequences},
                {DecodeAttentionOperand::positions, rows.positions},
                {DecodeAttentionOperand::kv_slots, rows.kv_slots},
                {DecodeAttentionOperand::block_table, rows.block_table},
                {DecodeAttentionOperand::plan, plan},
                {DecodeAttentionOperand::cache, cache},
                {DecodeAttentionOperand::out, out}});
  return out;
}

Value mla_attention(Builder& b, Value q, Value cache, Value kv_b, const PagedRows& rows,
                    const MlaDesc& desc) {
  b.require(!b.placement(q).is_partial(), "attention takes fully reduced rows", {q});
  b.require(b.num_cols(q) == int64_t{desc.num_heads} * (desc.nope_dim + desc.rope_dim) &&
                b.num_cols(cache) == desc.kv_lora_rank + desc.rope_dim &&
                b.num_cols(kv_b) == desc.kv_lora_rank &&
                b.num_rows(kv_b) == int64_t{desc.num_heads} * (desc.nope_dim + desc.v_head_dim),
            "q holds nope | rope of the heads, the cache latent | rope", {q, cache, kv_b});
  const Value out = b.step("attention", b.format(q), b.num_rows(q),
                           int64_t{desc.num_heads} * desc.v_head_dim, b.placement(q));
  b.emit(desc, {{MlaOperand::q, q},
                {MlaOperand::sequences, rows.sequences},
                {MlaOperand::positions, rows.positions},
                {MlaOperand::block_table, rows.block_table},
                {MlaOperand::cache, cache},
                {MlaOperand::kv_b, kv_b},
                {MlaOperand::out, out}});
  return out;
}

}  // namespace braid::ops
