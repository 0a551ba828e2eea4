#include "ops/attention.h"

#include "ops/kind.h"

using braid::flow::Access;
using braid::flow::KindInfo;
using braid::flow::OperandSpec;
using braid::flow::Slicing;
using braid::flow::Type;
using braid::flow::Work;
using braid::kernels::AttentionDesc;
using braid::kernels::KvWriteDesc;
using braid::kernels::MlaDesc;

namespace {

// Which cache rows are written depends on data: the whole cache is declared. Rows that are not
// written keep their content, so it is read-write.
constexpr OperandSpec kWriteOperands[] = {
    {"source"}, {"kv_slots"}, {"cache", Access::read_write, Slicing::whole}};

Work write_work(const void* /*desc*/, std::span<const Type> types) {
  return {.flop = 0, .bytes = 2 * braid::ops::bytes(types[0])};
}

constexpr OperandSpec kAttentionOperands[] = {
    {"q"},
    {"sequences"},
    {"positions"},
    {"block_table", Access::read, Slicing::whole},
    {"cache", Access::read, Slicing::whole},
    {"out", Access::write},
};
constexpr OperandSpec kMlaOperands[] = {
    {"q"},
    {"sequences"},
    {"positions"},
    {"block_table", Access::read, Slicing::whole},
    {"cache", Access::read, Slicing::whole},
    {"kv_b", Access::read, Slicing::whole},
    {"out", Access::write},
};

// How much of the cache is read depends on the positions: only what is certain is counted.
Work attention_work(const void* /*desc*/, std::span<const Type> types) {
  return {.flop = 0, .bytes = braid::ops::bytes(types[0]) + braid::ops::bytes(types.back())};
}

constexpr KindInfo kWrite = {.name = "kv_write", .operands = kWriteOperands, .work = write_work};
constexpr KindInfo kAttention = {
    .name = "attention", .operands = kAttentionOperands, .work = attention_work};
constexpr KindInfo kMla = {
    .name = "mla_attention", .operands = kMlaOperands, .work = attention_work};

}  // namespace

template <>
const KindInfo& braid::flow::kind_of<KvWriteDesc>() {
  return kWrite;
}

template <>
const KindInfo& braid::flow::kind_of<AttentionDesc>() {
  return kAttention;
}

template <>
const KindInfo& braid::flow::kind_of<MlaDesc>() {
  return kMla;
}

namespace braid::ops {

void kv_write(Builder& b, Value source, const PagedRows& rows, Value cache) {
  b.require(!b.placement(source).is_partial(), "the cache takes fully reduced rows", {source});
  b.require(b.num_cols(source) == b.num_cols(cache), "a cache row holds a source row",
            {source, cache});
  b.emit(kernels::KvWriteDesc{}, {source, rows.kv_slots, cache});
}

Value attention(Builder& b, Value q, Value cache, const PagedRows& rows,
                const AttentionDesc& desc) {
  b.require(!b.placement(q).is_partial(), "attention takes fully reduced rows", {q});
  b.require(b.num_cols(q) == int64_t{desc.num_heads} * desc.head_dim &&
                b.num_cols(cache) == int64_t{2} * desc.num_kv_heads * desc.head_dim,
            "q holds the heads, the cache K and V of the KV heads", {q, cache});
  const Value out = b.step("attention", b.format(q), b.num_rows(q), b.num_cols(q), b.placement(q));
  b.emit(desc, {q, rows.sequences, rows.positions, rows.block_table, cache, out});
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
  b.emit(desc, {q, rows.sequences, rows.positions, rows.block_table, cache, kv_b, out});
  return out;
}

}  // namespace braid::ops
