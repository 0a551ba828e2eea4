#include "model/model_weights.h"

#include <fmt/format.h>

namespace braid::model {
namespace {

using Parts = std::vector<WeightPart>;

// How an architecture names the tensors of a MoE layer.
struct ExpertNames {
  std::string_view block, gate, up, down;
};

ExpertNames expert_names(Architecture architecture) {
  if (architecture == Architecture::mixtral) return {"block_sparse_moe", "w1", "w3", "w2"};
  return {"mlp", "gate_proj", "up_proj", "down_proj"};
}

class Planner {
 public:
  Planner(const ModelConfig& config, Format format, flow::Residents& residents, WeightPlan& plan)
      : config_(config), format_(format), residents_(residents), plan_(plan) {}

  ModelBuffers run() {
    ModelBuffers buffers;
    const int64_t vocab = config_.vocab_size;
    buffers.embedding = matrix("model.embed_tokens.weight", vocab, hidden());
    for (int64_t layer = 0; layer < config_.num_layers; ++layer) {
      prefix_ = fmt::format("model.layers.{}.", layer);
      buffers.layers.push_back({attention(), mlp(config_.is_moe(layer))});
    }
    prefix_.clear();
    buffers.norm = vector("model.norm.weight", hidden());
    buffers.lm_head =
        config_.tie_word_embeddings ? buffers.embedding : matrix("lm_head.weight", vocab, hidden());
    buffers.inverse_frequencies =
        plan_.add_computed(residents_, "inverse_frequencies", inverse_frequencies(config_.rotary));
    return buffers;
  }

 private:
  int64_t hidden() const { return config_.hidden_size; }

  // A whole tensor [rows, cols] as one weight.
  int32_t matrix(std::string_view name, int64_t rows, int64_t cols) {
    const std::string full = prefix_ + std::string(name);
    return plan_.add(residents_, full, format_, rows, cols, {{full, {rows, cols}}});
  }
  int32_t vector(std::string_view name, int64_t size) { return vector(name, size, format_); }
  int32_t vector(std::string_view name, int64_t size, Format format) {
    const std::string full = prefix_ + std::string(name);
    return plan_.add(residents_, full, format, 1, size, {{full, {size}}});
  }

  AttentionBuffers attention() {
    AttentionBuffers buffers =
        std::visit([this](const auto& kind) { return of(kind); }, config_.attention);
    buffers.norm = vector("input_layernorm.weight", hidden());
    return buffers;
  }

  AttentionBuffers of(const GqaConfig& gqa) {
    const int64_t q = gqa.num_heads * gqa.head_dim;
    const int64_t kv = gqa.num_kv_heads * gqa.head_dim;
    const std::string at = prefix_ + "self_attn.";
    AttentionBuffers buffers;
    buffers.qkv = plan_.add(residents_, at + "qkv", format_, q + 2 * kv, hidden(),
                            {{at + "q_proj.weight", {q, hidden()}, 0},
                             {at + "k_proj.weight", {kv, hidden()}, q},
                             {at + "v_proj.weight", {kv, hidden()}, q + kv}});
    if (gqa.qkv_bias) {
      buffers.qkv_bias = plan_.add(residents_, at + "qkv.bias", format_, 1, q + 2 * kv,
                                   {{at + "q_proj.bias", {q}, 0},
                                    {at + "k_proj.bias", {kv}, q},
                                    {at + "v_proj.bias", {kv}, q + kv}});
    }
    if (gqa.qk_norm) {
      buffers.q_norm = vector("self_attn.q_norm.weight", gqa.head_dim);
      buffers.k_norm = vector("self_attn.k_norm.weight", gqa.head_dim);
    }
    buffers.o = matrix("self_attn.o_proj.weight", hidden(), q);
    return buffers;
  }

  AttentionBuffers of(const MlaConfig& mla) {
    const int64_t q = mla.num_heads * (mla.qk_nope_head_dim + mla.qk_rope_head_dim);
    const int64_t kv = mla.num_heads * (mla.qk_nope_head_dim + mla.v_head_dim);
    AttentionBuffers buffers;
    if (mla.q_lora_rank > 0) {
      buffers.q_a = matrix("self_attn.q_a_proj.weight", mla.q_lora_rank, hidden());
      buffers.q_a_norm = vector("self_attn.q_a_layernorm.weight", mla.q_lora_rank);
      buffers.q_b = matrix("self_attn.q_b_proj.weight", q, mla.q_lora_rank);
    } else {
      buffers.q_b = matrix("self_attn.q_proj.weight", q, hidden());
    }
    buffers.kv_a = matrix("self_attn.kv_a_proj_with_mqa.weight",
                          mla.kv_lora_rank + mla.qk_rope_head_dim, hidden());
    buffers.kv_a_norm = vector("self_attn.kv_a_layernorm.weight", mla.kv_lora_rank);
    buffers.kv_b = matrix("self_attn.kv_b_proj.weight", kv, mla.kv_lora_rank);
    buffers.o = matrix("self_attn.o_proj.weight", hidden(), mla.num_heads * mla.v_head_dim);
    return buffers;
  }

  MlpBuffers mlp(bool is_moe) {
    MlpBuffers buffers = is_moe ? experts() : dense();
    buffers.norm = vector("post_attention_layernorm.weight", hidden());
    return buffers;
  }

  MlpBuffers dense() {
    const int64_t width = config_.intermediate_size;
    Parts gate_up;
    add_gate_up(gate_up, prefix_ + "mlp.", {"", "gate_proj", "up_proj", ""}, width, 0);
    MlpBuffers buffers;
    buffers.gate_up = plan_.add(residents_, prefix_ + "mlp.gate_up", format_, 2 * width, hidden(),
                                std::move(gate_up));
    buffers.down = matrix("mlp.down_proj.weight", hidden(), width);
    return buffers;
  }

  // Gate rows at even, up rows at odd places from `first_row` on.
  void add_gate_up(Parts& parts, const std::string& at, const ExpertNames& names, int64_t width,
                   int64_t first_row) const {
    parts.push_back({fmt::format("{}{}.weight", at, names.gate), {width, hidden()}, first_row, 2});
    parts.push_back(
        {fmt::format("{}{}.weight", at, names.up), {width, hidden()}, first_row + 1, 2});
  }

  MlpBuffers experts() {
    const MoeConfig& moe = *config_.moe;
    const ExpertNames names = expert_names(config_.architecture);
    const std::string at = fmt::format("{}{}.", prefix_, names.block);
    const int64_t width = moe.expert_width;
    Parts gate_up, down;
    for (int64_t expert = 0; expert < moe.num_experts; ++expert) {
      const std::string of_expert = fmt::format("{}experts.{}.", at, expert);
      add_gate_up(gate_up, of_expert, names, width, expert * 2 * width);
      down.push_back({fmt::format("{}{}.weight", of_expert, names.down),
                      {hidden(), width},
                      expert * hidden()});
    }
    if (moe.num_shared_experts > 0) add_shared(gate_up, down, at);

    const int64_t slots = num_slots(moe);
    MlpBuffers buffers;
    buffers.router = plan_.add(residents_, at + "gate.weight", format_, moe.num_experts, hidden(),
                               {{at + "gate.weight", {moe.num_experts, hidden()}}});
    if (moe.router.correction_bias) {
      const std::string bias = at + "gate.e_score_correction_bias";
      buffers.correction_bias =
          plan_.add(residents_, bias, Format::f32, 1, moe.num_experts, {{bias, {moe.num_experts}}});
    }
    buffers.gate_up = plan_.add(residents_, at + "experts.gate_up", format_, slots * 2 * width,
                                hidden(), std::move(gate_up));
    buffers.down = plan_.add(residents_, at + "experts.down", format_, slots * hidden(), width,
                             std::move(down));
    return buffers;
  }

  // The shared experts' MLP, cut into slots of one expert's width behind the routed experts.
  void add_shared(Parts& gate_up, Parts& down, const std::string& at) const {
    const MoeConfig& moe = *config_.moe;
    const int64_t width = moe.expert_width;
    const int64_t shared_width = moe.num_shared_experts * width;
    const std::string of_shared = at + "shared_experts.";
    add_gate_up(gate_up, of_shared, expert_names(config_.architecture), shared_width,
                moe.num_experts * 2 * width);
    for (int64_t slot = 0; slot < moe.num_shared_experts; ++slot) {
      down.push_back({.tensor = of_shared + "down_proj.weight",
                      .shape = {hidden(), shared_width},
                      .first_row = (moe.num_experts + slot) * hidden(),
                      .first_column = slot * width,
                      .columns = width});
    }
  }

  const ModelConfig& config_;
  Format format_;
  flow::Residents& residents_;
  WeightPlan& plan_;
  std::string prefix_;  // of the current layer
};

}  // namespace

int64_t num_slots(const MoeConfig& moe) { return moe.num_experts + moe.num_shared_experts; }

ModelBuffers plan_weights(const ModelConfig& config, Format format, flow::Residents& residents,
                          WeightPlan& plan) {
  return Planner(config, format, residents, plan).run();
}

}  // namespace braid::model
