#include "layers/decoder.h"

#include "ops/norm.h"
#include "ops/rows.h"

namespace braid::layers {

using flow::Role;

namespace {

Value attention_block(Builder& b, const DecoderWeights& w, const DecoderDesc& d,
                      const StepRows& rows, Value x) {
  if (const auto* weights = std::get_if<GqaWeights>(&w.attention)) {
    return gqa(b, *weights, std::get<GqaDesc>(d.attention), rows, x);
  }
  return mla(b, std::get<MlaWeights>(w.attention), std::get<MlaLayerDesc>(d.attention), rows, x);
}

Value mlp_block(Builder& b, const DecoderWeights& w, const DecoderDesc& d, const StepRows& rows,
                Value x, MoeProbe* probe) {
  if (const auto* weights = std::get_if<MoeWeights>(&w.mlp)) {
    return moe(b, *weights, d.moe, rows, x, probe);
  }
  return ops::scope(b, Role::mlp, [&] {
    return ops::sum_to(b, {mlp(b, std::get<MlpWeights>(w.mlp), x)}, b.placement(x), "mlp_sum");
  });
}

}  // namespace

Value decoder_layer(Builder& b, const DecoderWeights& w, const DecoderDesc& d, const StepRows& rows,
                    Value x, MoeProbe* probe) {
  const auto residual = [&](auto&& body) { return ops::scope(b, Role::residual, body); };
  const Value h = residual([&] { return ops::rms_norm(b, x, w.attention_norm, d.eps, "normed"); });
  const Value attended =
      ops::scope(b, Role::attention, [&] { return attention_block(b, w, d, rows, h); });
  const Value middle = residual([&] { return ops::add(b, x, attended, "residual"); });
  const Value h2 = residual([&] { return ops::rms_norm(b, middle, w.mlp_norm, d.eps, "normed"); });
  const Value out = mlp_block(b, w, d, rows, h2, probe);
  return residual([&] { return ops::add(b, middle, out, "residual"); });
}

Value head(Builder& b, const HeadWeights& w, const HeadDesc& d, const StepRows& rows, Value x) {
  return ops::scope(b, Role::head, [&] {
    const Value last = ops::gather_rows(b, x, rows.logit_rows, "last_rows", rows.logit_count);
    const Value normed = ops::rms_norm(b, last, w.norm, d.eps, "last_normed");
    const Value logits = ops::gemm(b, normed, w.lm_head, Format::f32, "logits");
    return ops::gather_columns(b, logits, d.vocab_size, "all_logits");
  });
}

}  // namespace braid::layers
