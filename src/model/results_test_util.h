// A configuration as a text, for tests that compare two.
#pragma once

#include "model/config.h"
#include "model/testing.h"

namespace braid::model::testing {

inline std::string describe(const AttentionConfig& attention) {
  if (const auto* gqa = std::get_if<GqaConfig>(&attention)) {
    return fmt::format("gqa {} {} {} {} {}", gqa->num_heads, gqa->num_kv_heads, gqa->head_dim,
                       gqa->qkv_bias, gqa->qk_norm);
  }
  const auto& mla = std::get<MlaConfig>(attention);
  return fmt::format("mla {} {} {} {} {} {}", mla.num_heads, mla.q_lora_rank, mla.kv_lora_rank,
                     mla.qk_nope_head_dim, mla.qk_rope_head_dim, mla.v_head_dim);
}

inline std::string describe(const std::optional<MoeConfig>& moe) {
  if (!moe) return "dense";
  const RouterConfig& router = moe->router;
  return fmt::format("{} {} {} {} | {} {} {} {} {} {} {}", moe->num_experts, moe->top_k,
                     moe->expert_width, moe->num_shared_experts, static_cast<int>(router.score),
                     router.n_group, router.topk_group, static_cast<int>(router.group_score),
                     router.correction_bias, router.normalize, router.scaling_factor);
}

// Everything that decides what a model computes and when it stops.
inline std::string results_of(const ModelConfig& config) {
  std::string text =
      fmt::format("{} {} {} {} {} {} {} {}\n", config.family->class_name, config.vocab_size,
                  config.hidden_size, config.num_layers, config.intermediate_size,
                  config.max_positions, config.rms_norm_eps, config.tie_word_embeddings);
  text +=
      fmt::format("eos {}\nscale {}\n", fmt::join(config.eos_token_ids, " "), config.softmax_scale);
  for (const LayerAttention& layer : config.attention) {
    text += fmt::format("{} window {}\n", describe(layer.kind), layer.window);
  }
  text += fmt::format("{} {}\n", config.rotary.interleaved, cos_sin_multiplier(config.rotary));
  text += fmt::format("{}\n", fmt::join(inverse_frequencies(config.rotary), " "));
  text += describe(config.moe) + "\n";
  for (const bool moe : config.moe_layers) text += moe ? "m" : "d";
  const QuantScheme& scheme = config.quantization;
  // The list of modules that stay unquantized is a check: a tensor's storage says how it is read.
  text += fmt::format("\n{} {} {}", name_of(scheme.kind), scheme.block_rows, scheme.block_columns);
  return text;
}

}  // namespace braid::model::testing
