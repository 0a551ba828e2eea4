#include "model/weight_bytes.h"

#include "model/model_weights.h"

namespace braid::model {
namespace {

// The routed experts' part of a layer's pool, in which shared ones may have slots, too.
int64_t routed_bytes(const ModelConfig& config, const layout::Shards& shards, int64_t pool) {
  const bool with_shared = shards.holds_all_experts();
  const int64_t routed = shards.experts().count;
  return pool * routed / (routed + (with_shared ? config.moe->num_shared_experts : 0));
}

}  // namespace

WeightBytes weight_bytes(const ModelConfig& config, Format format, const layout::Shards& shards) {
  flow::Residents residents;
  WeightPlan plan;
  const ModelBuffers buffers =
      plan_weights(config, format, shards, /*with_ends=*/true, residents, plan);
  const auto sum = [&](std::initializer_list<int32_t> indices) {
    int64_t bytes = 0;
    for (const int32_t index : indices) bytes += index == kAbsent ? 0 : residents[index].bytes();
    return bytes;
  };
  WeightBytes out;
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    const auto& [a, m] = buffers.layers[static_cast<size_t>(layer)];
    out.attention += sum({a.norm, a.qkv, a.qkv_bias, a.q_norm, a.k_norm, a.q_a, a.q_a_norm, a.q_b,
                          a.kv_a, a.kv_a_norm, a.kv_b, a.o});
    out.router += sum({m.router, m.correction_bias});
    const int64_t pool = sum({m.gate_up, m.down});
    const int64_t routed = config.is_moe(layer) ? routed_bytes(config, shards, pool) : 0;
    out.experts += routed;
    out.dense += pool - routed + sum({m.norm, m.shared_gate_up, m.shared_down});
  }
  const bool tied = buffers.lm_head == buffers.embedding;
  out.vocabulary = sum({buffers.embedding, buffers.norm, tied ? kAbsent : buffers.lm_head});
  return out;
}

}  // namespace braid::model
