#include "model/model_weights.h"

#include <fmt/format.h>

#include <algorithm>

namespace braid::model {
namespace {

using layout::Share;
using Parts = std::vector<WeightPart>;

constexpr ExpertNames kDenseNames;  // in all families

class Planner {
 public:
  Planner(const ModelConfig& config, Format format, const layout::Shards& shards,
          const experts::ExpertPlacement* placement, flow::Residents& residents, WeightPlan& plan)
      : config_(config),
        format_(format),
        shards_(shards),
        placement_(placement),
        residents_(residents),
        plan_(plan) {}

  ModelBuffers run(bool with_ends) {
    ModelBuffers buffers;
    if (with_ends) buffers.embedding = vocabulary("model.embed_tokens.weight");
    for (int64_t layer = 0; layer < config_.num_layers; ++layer) {
      prefix_ = fmt::format("model.layers.{}.", layer);
      buffers.layers.push_back({attention(layer), mlp(config_.is_moe(layer))});
    }
    prefix_.clear();
    if (with_ends) {
      buffers.norm = vector("model.norm.weight", hidden());
      buffers.lm_head =
          config_.tie_word_embeddings ? buffers.embedding : vocabulary("lm_head.weight");
    }
    buffers.inverse_frequencies =
        plan_.add_computed(residents_, "inverse_frequencies", inverse_frequencies(config_.rotary));
    return buffers;
  }

 private:
  int64_t hidden() const { return config_.hidden_size; }

  // Rows of a tensor [rows, cols], laid at a row of a buffer.
  static WeightPart row_part(std::string tensor, int64_t rows, int64_t cols, const Share& share,
                             int64_t first_row, int64_t row_step = 1) {
    return {.tensor = std::move(tensor),
            .shape = {rows, cols},
            .first_row = first_row,
            .row_step = row_step,
            .window = Block{share.first, share.count, 0, cols}};
  }
  // Columns of it.
  static WeightPart column_part(std::string tensor, int64_t rows, int64_t cols, const Share& share,
                                int64_t first_row) {
    return {.tensor = std::move(tensor),
            .shape = {rows, cols},
            .first_row = first_row,
            .window = Block{0, rows, share.first, share.count}};
  }
  // Numbers of a vector.
  static WeightPart vector_part(std::string tensor, int64_t size, const Share& share,
                                int64_t first_row) {
    return {.tensor = std::move(tensor),
            .shape = {size},
            .first_row = first_row,
            .window = Block{share.first, share.count, 0, 1}};
  }
  // A share of heads as a share of their rows.
  static Share times(const Share& heads, int64_t rows) {
    return {heads.first * rows, heads.count * rows, heads.padded * rows};
  }

  // This rank's rows, or columns, of one tensor as a weight of their own.
  int32_t row_shard(std::string_view name, int64_t rows, int64_t cols, const Share& share) {
    const std::string full = prefix_ + std::string(name);
    Parts parts = {row_part(full, rows, cols, share, 0)};
    const int64_t pads = share.padded - share.count;
    if (pads > 0) parts.push_back(WeightPart::zeros(share.count, pads));
    return plan_.add(residents_, full, format_, share.padded, cols, std::move(parts));
  }
  // A row for each of the vocabulary's tokens that this rank has.
  int32_t vocabulary(std::string_view name) {
    const int64_t all = config_.vocab_size;
    return row_shard(name, all, hidden(), shards_.vocabulary(all));
  }
  int32_t column_shard(std::string_view name, int64_t rows, int64_t cols, const Share& share) {
    const std::string full = prefix_ + std::string(name);
    return plan_.add(residents_, full, format_, rows, share.padded,
                     {column_part(full, rows, cols, share, 0)});
  }

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

  AttentionBuffers attention(int64_t layer) {
    AttentionBuffers buffers =
        std::visit([this](const auto& kind) { return of(kind); }, config_.attention_of(layer));
    buffers.norm = vector("input_layernorm.weight", hidden());
    return buffers;
  }

  AttentionBuffers of(const GqaConfig& gqa) {
    const int64_t all_q = gqa.num_heads * gqa.head_dim;
    const int64_t all_kv = gqa.num_kv_heads * gqa.head_dim;
    const Share q = times(shards_.heads(), gqa.head_dim);
    const Share kv = times(shards_.kv_heads(), gqa.head_dim);
    const std::string at = prefix_ + "self_attn.";
    AttentionBuffers buffers;
    buffers.qkv =
        plan_.add(residents_, at + "qkv", format_, q.count + 2 * kv.count, hidden(),
                  {row_part(at + "q_proj.weight", all_q, hidden(), q, 0),
                   row_part(at + "k_proj.weight", all_kv, hidden(), kv, q.count),
                   row_part(at + "v_proj.weight", all_kv, hidden(), kv, q.count + kv.count)});
    if (gqa.qkv_bias) {
      buffers.qkv_bias =
          plan_.add(residents_, at + "qkv.bias", format_, 1, q.count + 2 * kv.count,
                    {vector_part(at + "q_proj.bias", all_q, q, 0),
                     vector_part(at + "k_proj.bias", all_kv, kv, q.count),
                     vector_part(at + "v_proj.bias", all_kv, kv, q.count + kv.count)});
    }
    if (gqa.qk_norm) {
      buffers.q_norm = vector("self_attn.q_norm.weight", gqa.head_dim);
      buffers.k_norm = vector("self_attn.k_norm.weight", gqa.head_dim);
    }
    buffers.o = column_shard("self_attn.o_proj.weight", hidden(), all_q, q);
    return buffers;
  }

  // Heads are split; what makes the latent, and the latent itself, is on every rank.
  AttentionBuffers of(const MlaConfig& mla) {
    const int64_t q_rows = mla.qk_nope_head_dim + mla.qk_rope_head_dim;
    const int64_t kv_rows = mla.qk_nope_head_dim + mla.v_head_dim;
    const Share heads = shards_.heads();
    const int64_t all = mla.num_heads;
    AttentionBuffers buffers;
    if (mla.q_lora_rank > 0) {
      buffers.q_a = matrix("self_attn.q_a_proj.weight", mla.q_lora_rank, hidden());
      buffers.q_a_norm = vector("self_attn.q_a_layernorm.weight", mla.q_lora_rank);
      buffers.q_b = row_shard("self_attn.q_b_proj.weight", all * q_rows, mla.q_lora_rank,
                              times(heads, q_rows));
    } else {
      buffers.q_b =
          row_shard("self_attn.q_proj.weight", all * q_rows, hidden(), times(heads, q_rows));
    }
    buffers.kv_a = matrix("self_attn.kv_a_proj_with_mqa.weight",
                          mla.kv_lora_rank + mla.qk_rope_head_dim, hidden());
    buffers.kv_a_norm = vector("self_attn.kv_a_layernorm.weight", mla.kv_lora_rank);
    buffers.kv_b = row_shard("self_attn.kv_b_proj.weight", all * kv_rows, mla.kv_lora_rank,
                             times(heads, kv_rows));
    buffers.o = column_shard("self_attn.o_proj.weight", hidden(), all * mla.v_head_dim,
                             times(heads, mla.v_head_dim));
    return buffers;
  }

  MlpBuffers mlp(bool is_moe) {
    MlpBuffers buffers = is_moe ? experts() : dense();
    buffers.norm = vector("post_attention_layernorm.weight", hidden());
    return buffers;
  }

  MlpBuffers dense() {
    const int64_t width = config_.intermediate_size;
    const Share share = shards_.mlp_width(width);
    Parts gate_up;
    add_gate_up(gate_up, prefix_ + "mlp.", kDenseNames, width, share, 0);
    MlpBuffers buffers;
    buffers.gate_up = plan_.add(residents_, prefix_ + "mlp.gate_up", format_, 2 * share.padded,
                                hidden(), std::move(gate_up));
    buffers.down = column_shard("mlp.down_proj.weight", hidden(), width, share);
    return buffers;
  }

  // This rank's gate rows at even, up rows at odd places from `first_row` on, then the pads.
  void add_gate_up(Parts& parts, const std::string& at, const ExpertNames& names, int64_t width,
                   const Share& share, int64_t first_row) const {
    parts.push_back(
        row_part(fmt::format("{}{}.weight", at, names.gate), width, hidden(), share, first_row, 2));
    parts.push_back(row_part(fmt::format("{}{}.weight", at, names.up), width, hidden(), share,
                             first_row + 1, 2));
    const int64_t pads = share.padded - share.count;
    if (pads > 0) parts.push_back(WeightPart::zeros(first_row + 2 * share.count, 2 * pads));
  }

  MlpBuffers experts() {
    const MoeConfig& moe = *config_.moe;
    const ExpertNames& names = config_.family->expert_names;
    const std::string at = fmt::format("{}{}.", prefix_, names.block);
    const Share here = expert_slots(shards_, placement_);
    const Share width = shards_.expert_width(moe.expert_width);
    Parts gate_up, down;
    for (int64_t slot = 0; slot < here.count; ++slot) {
      const std::string of_expert = fmt::format("{}experts.{}.", at, expert_in(here.first + slot));
      add_gate_up(gate_up, of_expert, names, moe.expert_width, width, slot * 2 * width.padded);
      down.push_back(column_part(fmt::format("{}{}.weight", of_expert, names.down), hidden(),
                                 moe.expert_width, width, slot * hidden()));
    }
    MlpBuffers buffers;
    int64_t slots = here.count;
    if (moe.num_shared_experts > 0 && shards_.holds_all_experts()) {
      add_shared_slots(gate_up, down, at);
      slots += moe.num_shared_experts;
    } else if (moe.num_shared_experts > 0) {
      plan_shared(buffers, at);
    }
    buffers.router = plan_.add(residents_, at + "gate.weight", format_, moe.num_experts, hidden(),
                               {{at + "gate.weight", {moe.num_experts, hidden()}}});
    if (moe.router.correction_bias) {
      const std::string bias = at + "gate.e_score_correction_bias";
      buffers.correction_bias =
          plan_.add(residents_, bias, Format::f32, 1, moe.num_experts, {{bias, {moe.num_experts}}});
    }
    buffers.gate_up = plan_.add(residents_, at + "experts.gate_up", format_,
                                slots * 2 * width.padded, hidden(), std::move(gate_up));
    buffers.down = plan_.add(residents_, at + "experts.down", format_, slots * hidden(),
                             width.padded, std::move(down));
    if (placement_ != nullptr) {
      buffers.expert_table =
          plan_.add_computed(residents_, at + "experts.table", placement_->most_replicas(),
                             placement_->table(moe_layer_));
    }
    ++moe_layer_;
    return buffers;
  }

  // Which expert lies in a slot of the current layer.
  int64_t expert_in(int64_t slot) const {
    return placement_ == nullptr ? slot
                                 : placement_->expert_of(moe_layer_, static_cast<int32_t>(slot));
  }

  // The shared experts' MLP, cut into slots of one expert's width behind the routed experts.
  void add_shared_slots(Parts& gate_up, Parts& down, const std::string& at) const {
    const MoeConfig& moe = *config_.moe;
    const Share width = shards_.expert_width(moe.expert_width);
    const int64_t all = moe.num_shared_experts * moe.expert_width;
    const std::string of_shared = at + "shared_experts.";
    for (int64_t i = 0; i < moe.num_shared_experts; ++i) {
      const Share part{i * moe.expert_width + width.first, width.count, width.padded};
      const int64_t slot = moe.num_experts + i;
      add_gate_up(gate_up, of_shared, config_.family->expert_names, all, part,
                  slot * 2 * width.padded);
      down.push_back(
          column_part(of_shared + "down_proj.weight", hidden(), all, part, slot * hidden()));
    }
  }

  // The shared experts' MLP where ranks have different experts: cut like a dense MLP.
  void plan_shared(MlpBuffers& buffers, const std::string& at) {
    const MoeConfig& moe = *config_.moe;
    const int64_t all = moe.num_shared_experts * moe.expert_width;
    const Share width = shards_.mlp_width(all);
    const std::string of_shared = at + "shared_experts.";
    Parts gate_up;
    add_gate_up(gate_up, of_shared, config_.family->expert_names, all, width, 0);
    buffers.shared_gate_up = plan_.add(residents_, of_shared + "gate_up", format_, 2 * width.padded,
                                       hidden(), std::move(gate_up));
    buffers.shared_down =
        plan_.add(residents_, of_shared + "down", format_, hidden(), width.padded,
                  {column_part(of_shared + "down_proj.weight", hidden(), all, width, 0)});
  }

  const ModelConfig& config_;
  Format format_;
  const layout::Shards& shards_;
  const experts::ExpertPlacement* placement_;  // or null
  int32_t moe_layer_ = 0;                      // layers with experts so far
  flow::Residents& residents_;
  WeightPlan& plan_;
  std::string prefix_;  // of the current layer
};

}  // namespace

layout::ModelSizes layout_sizes(const ModelConfig& config) {
  layout::ModelSizes sizes{.num_experts = config.moe ? config.moe->num_experts : 0};
  if (const auto* gqa = std::get_if<GqaConfig>(&config.attention_of(0))) {
    sizes.num_heads = gqa->num_heads;
    sizes.num_kv_heads = gqa->num_kv_heads;
  } else {
    sizes.num_heads = std::get<MlaConfig>(config.attention_of(0)).num_heads;
  }
  return sizes;
}

ModelBuffers plan_weights(const ModelConfig& config, Format format, const layout::Shards& shards,
                          bool with_ends, const experts::ExpertPlacement* placement,
                          flow::Residents& residents, WeightPlan& plan) {
  return Planner(config, format, shards, placement, residents, plan).run(with_ends);
}

Result<experts::PlacementSizes> placement_sizes(const ModelConfig& config, int32_t ranks,
                                                int32_t redundant) {
  const auto layers = std::count(config.moe_layers.begin(), config.moe_layers.end(), true);
  return experts::make_sizes(static_cast<int32_t>(layers),
                             static_cast<int32_t>(config.moe->num_experts), ranks, redundant);
}

Share expert_slots(const layout::Shards& shards, const experts::ExpertPlacement* placement) {
  if (placement == nullptr) return shards.experts();
  const int64_t count = placement->sizes().slots_of_rank();
  return {shards.moe_ep_index() * count, count, count};
}

}  // namespace braid::model
