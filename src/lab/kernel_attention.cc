// Attention, alone and with what a decode layer does before it.
#include <cmath>

#include "lab/kernel_builders.h"
#include "ops/attention.h"
#include "ops/gemm.h"
#include "ops/norm.h"
#include "ops/rotary.h"
#include "passes/fuse_decode_attention.h"

namespace braid::lab {

using flow::Work;
using ops::Value;

namespace {

constexpr float kEpsilon = 1e-6f;
constexpr double kRotaryBase = 1e6;

struct Heads {
  int64_t rows, context, heads, kv_heads, head_dim, page;

  explicit Heads(const KernelLayer& layer)
      : rows(layer.size("rows")),
        context(layer.size("context")),
        heads(layer.size("heads")),
        kv_heads(layer.size("kv_heads")),
        head_dim(layer.size("head_dim")),
        page(layer.size("page")) {}

  int64_t blocks() const { return (context + page - 1) / page; }
  int64_t q_cols() const { return heads * head_dim; }
  int64_t kv_cols() const { return kv_heads * head_dim; }
  ops::AttentionDesc desc() const {
    return {.num_heads = static_cast<int32_t>(heads),
            .num_kv_heads = static_cast<int32_t>(kv_heads),
            .head_dim = static_cast<int32_t>(head_dim),
            .page_size = static_cast<int32_t>(page),
            .scale = static_cast<float>(1 / std::sqrt(static_cast<double>(head_dim)))};
  }
};

// Each row is the last of its sequence; pages of all sequences take turns in the cache.
ops::PagedRows paged_rows(KernelLayer& layer, const Heads& h) {
  const int64_t rows = h.rows, blocks = h.blocks(), last = h.context - 1, page = h.page;
  const auto block = [=](int64_t row, int64_t index) { return index * rows + row; };
  return {.sequences = layer.filled("sequences", Format::i32, rows, 1,
                                    [](int64_t i) { return static_cast<double>(i); }),
          .positions = layer.filled("positions", Format::i32, rows, 1,
                                    [last](int64_t) { return static_cast<double>(last); }),
          .kv_slots =
              layer.filled("slots", Format::i32, rows, 1,
                           [=](int64_t i) {
                             return static_cast<double>(block(i, last / page) * page + last % page);
                           }),
          .block_table = layer.filled("block table", Format::i32, rows, blocks, [=](int64_t i) {
            return static_cast<double>(block(i / blocks, i % blocks));
          })};
}

Value attend(KernelLayer& layer, const Heads& h, const ops::PagedRows& paged, Value q,
             Value cache) {
  const ops::AttentionPlanDesc plan{static_cast<int32_t>(h.heads / h.kv_heads)};
  const Value words = layer.once("plan", [&] { return ops::attention_plan(layer.b, paged, plan); });
  return ops::attention(layer.b, q, cache, paged, words, h.desc());
}

Value cache_of(KernelLayer& layer, const Heads& h) {
  return layer.cache("cache", h.rows * h.blocks() * h.page, 2 * h.kv_cols());
}

Work work_of(const KernelLayer& layer, const Heads& h) {
  const auto elements =
      static_cast<double>(h.rows * h.context * 2 * h.kv_cols() + 2 * h.rows * h.q_cols());
  return {.flop = 4.0 * static_cast<double>(h.rows * h.context * h.q_cols()),
          .bytes = bytes_of_values(layer, elements)};
}

}  // namespace

Work build_attention(KernelLayer& layer) {
  const Heads h(layer);
  const ops::PagedRows paged = paged_rows(layer, h);
  const Value q = layer.random("q", layer.dtype, h.rows, h.q_cols());
  layer.result("out", attend(layer, h, paged, q, cache_of(layer, h)));
  return work_of(layer, h);
}

Work build_decode_attention(KernelLayer& layer) {
  const Heads h(layer);
  const int64_t hidden = layer.size("hidden"), half = h.head_dim / 2;
  const auto head_dim = static_cast<int32_t>(h.head_dim);
  const ops::PagedRows paged = paged_rows(layer, h);
  const Value table = layer.once("rotary", [&] {
    const Value inverse = layer.filled("frequencies", Format::f32, 1, half, [half](int64_t i) {
      return std::pow(kRotaryBase, -static_cast<double>(i) / static_cast<double>(half));
    });
    return ops::rotary_table(layer.b, paged.positions, inverse, 1);
  });
  const Value x = layer.random("x", layer.dtype, h.rows, hidden);
  const int64_t cols = h.q_cols() + 2 * h.kv_cols();
  const Value weight = layer.weight("qkv", cols, hidden), cache = cache_of(layer, h);
  const Value q_norm = layer.weight("q norm", 1, head_dim);
  const Value k_norm = layer.weight("k norm", 1, head_dim);

  const Value qkv = ops::gemm(layer.b, x, {.weight = weight, .bias = {}}, layer.dtype, "qkv");
  const Value q = layer.b.columns(qkv, 0, h.q_cols());
  ops::rms_norm_heads(layer.b, q, q_norm, kEpsilon, head_dim);
  ops::rms_norm_heads(layer.b, layer.b.columns(qkv, h.q_cols(), h.kv_cols()), k_norm, kEpsilon,
                      head_dim);
  ops::rotary(layer.b, layer.b.columns(qkv, 0, h.q_cols() + h.kv_cols()), table,
              {.head_dim = head_dim, .offset = 0, .dims = head_dim});
  ops::kv_write(layer.b, layer.b.columns(qkv, h.q_cols(), 2 * h.kv_cols()), paged, cache);
  layer.result("out", attend(layer, h, paged, q, cache));

  Work work = work_of(layer, h);
  work.flop += 2.0 * static_cast<double>(h.rows * cols * hidden);
  work.bytes += bytes_of_values(layer, static_cast<double>(cols * hidden + h.rows * hidden));
  return work;
}

Result<flow::Program> fuse_attention(flow::Program program, const passes::PassContext& context) {
  return passes::fuse_decode_attention(std::move(program), {.mode = passes::Switch::on}, context);
}

}  // namespace braid::lab
