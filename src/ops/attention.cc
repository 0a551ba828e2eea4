#include "ops/attention.h"

#include "ops/kind.h"

using braid::kernels::AttentionDesc;
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

constexpr auto kAttentionOperands = flow::operand_specs<AttentionOperand>({
    {AttentionOperand::q, "q"},
    {AttentionOperand::sequences, "sequences"},
    {AttentionOperand::positions, "positions"},
    {AttentionOperand::block_table, "block_table", Access::read, Slicing::whole},
    {AttentionOperand::cache, "cache", Access::read, Slicing::whole},
    {AttentionOperand::out, "out", Access::write},
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

constexpr KindInfo kWrite = {.name = "kv_write", .operands = kWriteOperands, .work = write_work};
constexpr KindInfo kAttention = {
    .name = "attention", .operands = kAttentionOperands, .work = attention_work<AttentionOperand>};
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

Value attention(Builder& b, Value q, Value cache, const PagedRows& rows,
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
                {AttentionOperand::cache, cache},
                {AttentionOperand::out, out}});
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
