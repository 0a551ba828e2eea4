#include "model/decoder_model.h"

#include <fmt/format.h>

#include <cmath>

#include "ops/norm.h"
#include "ops/rows.h"

namespace braid::model {

using flow::Fill;
using flow::Home;
using flow::Lifetime;
using flow::Role;
using layers::InputLayout;
using ops::Linear;

namespace {

using ops::Placement;
using ops::Shard;

// Rows that differ along dp.
constexpr Placement kOwnRows = {.axes = {Shard::row_sharded, Shard::replicated}};
// Weights split over tp, or over the experts' mesh, by rows or by columns.
constexpr Placement kRows = {.axes = {Shard::replicated, Shard::row_sharded}};
constexpr Placement kColumns = {.axes = {Shard::replicated, Shard::col_sharded}};
constexpr Placement kExpertRows = {.mesh = flow::Mesh::moe,
                                   .axes = {Shard::row_sharded, Shard::row_sharded}};
constexpr Placement kExpertColumns = {.mesh = flow::Mesh::moe,
                                      .axes = {Shard::row_sharded, Shard::col_sharded}};

// Columns of a token's row in a layer's cache on one rank.
int64_t cache_columns(const AttentionConfig& attention, const layout::Shards& shards) {
  if (const auto* gqa = std::get_if<GqaConfig>(&attention)) {
    return 2 * shards.kv_heads().count * gqa->head_dim;
  }
  const auto& mla = std::get<MlaConfig>(attention);
  return mla.kv_lora_rank + mla.qk_rope_head_dim;
}

// Running sums of 1 / rank^exponent, normalised: how popular experts 0 … e are together.
std::vector<float> zipf_popularity(int64_t num_experts, double exponent) {
  std::vector<double> sums;
  double total = 0;
  for (int64_t expert = 0; expert < num_experts; ++expert) {
    total += std::pow(static_cast<double>(expert + 1), -exponent);
    sums.push_back(total);
  }
  std::vector<float> popularity;
  for (const double sum : sums) popularity.push_back(static_cast<float>(sum / total));
  return popularity;
}

kernels::Score score_of(RouterScore score) {
  switch (score) {
    case RouterScore::softmax: return kernels::Score::softmax;
    case RouterScore::sigmoid: return kernels::Score::sigmoid;
    case RouterScore::softmax_over_topk: return kernels::Score::softmax_of_topk;
  }
  return kernels::Score::softmax;
}

}  // namespace

DecoderModel::DecoderModel(ModelConfig config, ModelOptions options)
    : config_(std::move(config)),
      options_(std::move(options)),
      shards_(layout_sizes(config_), options_.layout, options_.rank) {
  weights_ = plan_weights(config_, options_.dtype, shards_, !options_.layers_only,
                          options_.placement.get(), residents_, plan_);
  if (config_.moe && options_.choice == kernels::Choice::zipf) {
    popularity_ =
        plan_.add_computed(residents_, "expert_popularity",
                           zipf_popularity(config_.moe->num_experts, options_.zipf_exponent));
  }
  declare_state();
  if (options_.expert_heat) declare_heat();
}

layers::StepLimits DecoderModel::limits() const {
  return {.max_blocks = options_.max_blocks,
          .all_logits = options_.probes.all_logits,
          .dp = options_.layout.attention.sizes[0]};
}

int64_t DecoderModel::cache_bytes_per_token(const ModelConfig& config, Format dtype,
                                            const layout::Layout& layout) {
  const layout::Shards shards(layout_sizes(config), layout, 0);
  int64_t columns = 0;
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    columns += cache_columns(config.attention_of(layer), shards);
  }
  return columns * bytes_of(dtype) + bytes_of(Format::i32);
}

ops::MeshSizes DecoderModel::meshes() const {
  const layout::Layout& layout = options_.layout;
  return {.attention = layout.attention.sizes,
          .moe = layout.moe.sizes,
          .attention_sums = layout.attention_sums,
          .moe_sums = layout.moe_sums};
}

ops::Builder DecoderModel::builder() const { return ops::Builder(residents_, meshes()); }

void DecoderModel::declare_state() {
  const InputLayout layout(options_.max_rows, limits(), layers::Sampling::extended);
  struct Kept {
    int32_t copies = 1;
    Home home = Home::device;
    Fill fill = Fill::nothing;
  };
  const auto carried = [this](std::string name, Format format, int64_t rows, int64_t cols,
                              const Kept& kept = {}) {
    return residents_.declare({.name = std::move(name),
                               .format = format,
                               .rows = rows,
                               .cols = cols,
                               .lifetime = Lifetime::carried,
                               .copies = kept.copies,
                               .home = kept.home,
                               .fill = kept.fill});
  };
  constexpr Kept kTwoOfHost = {.copies = 2, .home = Home::host};
  state_.inputs_host = carried("inputs.host", Format::i32, layout.total, 1, kTwoOfHost);
  state_.inputs = carried("inputs", Format::i32, layout.total, 1);
  state_.sampled = carried("sampled", Format::i32, layout.num_logits, 1);
  state_.sampled_host = carried("sampled.host", Format::i32, layout.num_logits, 1, kTwoOfHost);
  const layers::LogprobLayout logprobs(layout.num_logits);
  state_.logprobs = carried("logprobs", Format::i32, logprobs.total, 1);
  state_.logprobs_host = carried("logprobs.host", Format::i32, logprobs.total, 1, kTwoOfHost);
  if (limits().dp > 1) {
    state_.dispatch_errors =
        carried("dispatch_errors", Format::f64, config_.num_layers, 2, {.fill = Fill::zeros});
  }
  if (options_.probes.all_logits) {
    state_.logits = carried("logits", Format::f32, layout.num_logits, config_.vocab_size);
  }
  const int64_t slots = int64_t{options_.num_blocks} * options_.page_size;
  state_.token_history = carried("token_history", Format::i32, slots, 1);
  for (int64_t layer = 0; layer < config_.num_layers; ++layer) {
    state_.caches.push_back(carried(fmt::format("layer {} kv_cache", layer), options_.dtype, slots,
                                    cache_columns(config_.attention_of(layer), shards_)));
    if (options_.probes.hidden && !options_.layers_only) {
      state_.hidden.push_back(carried(fmt::format("hidden.{}", layer), options_.dtype,
                                      layout.num_rows, config_.hidden_size));
    }
    const auto per_moe_layer = [&](bool wanted, const char* name, Format format, int64_t cols,
                                   const Kept& kept = {}) {
      if (!wanted || !config_.is_moe(layer)) return kAbsent;
      return carried(fmt::format("{}.{}", name, layer), format, layout.num_rows, cols, kept);
    };
    const int64_t top_k = config_.moe ? config_.moe->top_k : 0;
    const Probes& probes = options_.probes;
    state_.expert_ids.push_back(per_moe_layer(probes.routing, "experts", Format::i32, top_k));
    state_.expert_weights.push_back(
        per_moe_layer(probes.routing, "expert_weights", Format::f32, top_k));
    state_.router_logits.push_back(per_moe_layer(probes.routing, "router_logits", Format::f32,
                                                 config_.moe ? config_.moe->num_experts : 0));
    state_.forced_ids.push_back(  // none is forced until it is placed
        per_moe_layer(probes.force_routing, "forced_experts", Format::i32, top_k,
                      {.fill = Fill::minus_ones}));
  }
}

void DecoderModel::declare_heat() {
  int64_t layers = 0;
  for (int64_t layer = 0; layer < config_.num_layers; ++layer) layers += config_.is_moe(layer);
  BRAID_CHECK(layers > 0, "(heat of layers with experts)");
  const auto counters = [&](std::string name, int32_t copies, Home home) {
    return residents_.declare({.name = std::move(name),
                               .format = Format::u64,
                               .rows = 2 * layers,
                               .cols = config_.moe->num_experts,
                               .lifetime = Lifetime::carried,
                               .copies = copies,
                               .home = home,
                               .fill = Fill::zeros});
  };
  state_.heat = {.counters = counters("heat", 1, Home::device),
                 .snapshot = counters("heat.snapshot", 2, Home::device),
                 .host = counters("heat.host", 2, Home::host)};
}

layers::DecoderDesc DecoderModel::desc(int64_t layer) const {
  const auto eps = static_cast<float>(config_.rms_norm_eps);
  const auto scale = static_cast<float>(config_.softmax_scale);
  const auto num_heads = static_cast<int32_t>(shards_.heads().count);
  layers::DecoderDesc desc{.eps = eps};
  if (const auto* gqa = std::get_if<GqaConfig>(&config_.attention_of(layer))) {
    desc.attention = layers::GqaDesc{
        .attention = {.num_heads = num_heads,
                      .num_kv_heads = static_cast<int32_t>(shards_.kv_heads().count),
                      .head_dim = static_cast<int32_t>(gqa->head_dim),
                      .page_size = options_.page_size,
                      .scale = scale},
        .rotary = {.head_dim = static_cast<int32_t>(gqa->head_dim),
                   .dims = static_cast<int32_t>(config_.rotary.dim),
                   .interleaved = config_.rotary.interleaved ? 1 : 0},
        .eps = eps};
  } else {
    const auto& mla = std::get<MlaConfig>(config_.attention_of(layer));
    desc.attention =
        layers::MlaLayerDesc{.attention = {.num_heads = num_heads,
                                           .kv_lora_rank = static_cast<int32_t>(mla.kv_lora_rank),
                                           .nope_dim = static_cast<int32_t>(mla.qk_nope_head_dim),
                                           .rope_dim = static_cast<int32_t>(mla.qk_rope_head_dim),
                                           .v_head_dim = static_cast<int32_t>(mla.v_head_dim),
                                           .page_size = options_.page_size,
                                           .scale = scale,
                                           .form = options_.mla_form},
                             .interleaved_rotary = config_.rotary.interleaved,
                             .eps = eps};
  }
  if (config_.is_moe(layer)) {
    const MoeConfig& moe = *config_.moe;
    const RouterConfig& router = moe.router;
    const layout::Share slots = expert_slots(shards_, options_.placement.get());
    desc.moe = {.route = {.num_experts = static_cast<int32_t>(moe.num_experts),
                          .top_k = static_cast<int32_t>(moe.top_k),
                          .score = score_of(router.score),
                          .num_groups = static_cast<int32_t>(router.n_group),
                          .topk_groups = static_cast<int32_t>(router.topk_group),
                          .group_score = router.group_score == GroupScore::max
                                             ? kernels::GroupScore::max
                                             : kernels::GroupScore::sum_of_top2,
                          .normalize = router.normalize ? 1 : 0,
                          .scaling_factor = static_cast<float>(router.scaling_factor),
                          .choice = options_.choice,
                          .layer = static_cast<int32_t>(layer)},
                .slots = {.first = static_cast<int32_t>(slots.first),
                          .count = static_cast<int32_t>(slots.count)}};
  }
  return desc;
}

layers::MoeWeights DecoderModel::moe_weights(ops::Builder& b, int64_t layer,
                                             const InputLayout& layout) const {
  const auto i = static_cast<size_t>(layer);
  const MlpBuffers& buffers = weights_.layers[i].mlp;
  const MoeConfig& moe = *config_.moe;
  const auto optional = [&](int32_t index) {
    return index == kAbsent ? Value{} : b.resident(index);
  };
  const auto step_rows = [&](int32_t index) {
    return index == kAbsent ? Value{} : b.rows(b.resident(index, kOwnRows), 0, layout.num_rows);
  };
  const int64_t slots = expert_slots(shards_, options_.placement.get()).count;
  const int64_t slot_rows = 2 * shards_.expert_width(moe.expert_width).padded;
  layers::MoeWeights w{
      .router = b.resident(buffers.router),
      .route = {.bias = optional(buffers.correction_bias),
                .forced = step_rows(state_.forced_ids[i]),
                .popularity = optional(popularity_),
                .into = {step_rows(state_.expert_ids[i]), step_rows(state_.expert_weights[i])}},
      .gate_up = b.rows(b.resident(buffers.gate_up, kExpertRows), 0, slots * slot_rows),
      .down = b.rows(b.resident(buffers.down, kExpertColumns), 0, slots * config_.hidden_size),
      .table = optional(buffers.expert_table),
      .shared = {}};
  if (moe.num_shared_experts > 0) w.shared = shared_experts(b, buffers);
  return w;
}

layers::MlpWeights DecoderModel::shared_experts(ops::Builder& b, const MlpBuffers& buffers) const {
  if (buffers.shared_gate_up != kAbsent) {
    return {.gate_up = {.weight = b.resident(buffers.shared_gate_up, kRows)},
            .down = {.weight = b.resident(buffers.shared_down, kColumns)}};
  }
  const MoeConfig& moe = *config_.moe;
  const int64_t slots = moe.num_shared_experts;
  const int64_t slot_rows = 2 * shards_.expert_width(moe.expert_width).padded;
  return {
      .gate_up = {.weight = b.rows(b.resident(buffers.gate_up, kRows), moe.num_experts * slot_rows,
                                   slots * slot_rows)},
      .down = {.weight = b.rows(b.resident(buffers.down, kColumns),
                                moe.num_experts * config_.hidden_size, slots * config_.hidden_size),
               .k_slots = static_cast<int32_t>(slots)}};
}

layers::DecoderWeights DecoderModel::weights(ops::Builder& b, int64_t layer,
                                             const InputLayout& layout) const {
  const auto i = static_cast<size_t>(layer);
  const AttentionBuffers& attention = weights_.layers[i].attention;
  const MlpBuffers& mlp = weights_.layers[i].mlp;
  const auto optional = [&](int32_t index) {
    return index == kAbsent ? Value{} : b.resident(index);
  };
  layers::DecoderWeights w{.attention_norm = b.resident(attention.norm),
                           .mlp_norm = b.resident(mlp.norm)};
  const Value cache = b.resident(state_.caches[i]);
  const Linear o{.weight = b.resident(attention.o, kColumns)};
  if (std::holds_alternative<GqaConfig>(config_.attention_of(layer))) {
    w.attention = layers::GqaWeights{
        .qkv = {.weight = b.resident(attention.qkv, kRows), .bias = optional(attention.qkv_bias)},
        .q_norm = optional(attention.q_norm),
        .k_norm = optional(attention.k_norm),
        .o = o,
        .cache = cache};
  } else {
    w.attention = layers::MlaWeights{.q_a = {.weight = optional(attention.q_a)},
                                     .q_a_norm = optional(attention.q_a_norm),
                                     .q_b = {.weight = b.resident(attention.q_b, kRows)},
                                     .kv_a = {.weight = b.resident(attention.kv_a)},
                                     .kv_a_norm = b.resident(attention.kv_a_norm),
                                     .kv_b = b.resident(attention.kv_b, kRows),
                                     .o = o,
                                     .cache = cache};
  }
  if (config_.is_moe(layer)) {
    w.mlp = moe_weights(b, layer, layout);
  } else {
    w.mlp = layers::MlpWeights{.gate_up = {.weight = b.resident(mlp.gate_up, kRows)},
                               .down = {.weight = b.resident(mlp.down, kColumns)}};
  }
  return w;
}

void DecoderModel::probe(ops::Builder& b, const std::vector<int32_t>& into, int64_t layer,
                         Value value) const {
  if (static_cast<size_t>(layer) >= into.size() || !value.present()) return;
  const int32_t resident = into[static_cast<size_t>(layer)];
  if (resident == kAbsent) return;
  ops::copy(b, value, b.rows(b.resident(resident), 0, b.num_rows(value)));
}

layers::StepRows DecoderModel::step_rows(ops::Builder& b, const layers::StepShape& shape,
                                         const InputLayout& layout,
                                         ops::DispatchKind dispatch) const {
  layers::StepRows rows = layers::step_inputs(
      b, b.resident(state_.inputs_host), b.resident(state_.inputs, kOwnRows), layout, limits());
  rows.ranks.group = shape.group.total();
  rows.ranks.kind = dispatch;
  rows.rotary_table =
      ops::rotary_table(b, rows.paged.positions, b.resident(weights_.inverse_frequencies),
                        cos_sin_multiplier(config_.rotary));
  for (int64_t layer = 0; layer < config_.num_layers; ++layer) {
    const layers::DecoderDesc decoder = desc(layer);
    if (const auto* gqa = std::get_if<layers::GqaDesc>(&decoder.attention)) {
      layers::plan_attention(b, *gqa, rows);
    }
  }
  return rows;
}

Result<flow::Program> DecoderModel::build(const layers::StepShape& shape,
                                          ops::DispatchKind dispatch) const {
  BRAID_CHECK(!options_.layers_only, "(a model without embedding and head)");
  ops::Builder b = builder();
  const InputLayout layout(shape.own, limits(), shape.sampling);
  const layers::StepRows rows = step_rows(b, shape, layout, dispatch);
  Value x = ops::scope(b, Role::embedding, [&] {
    const Value ids = ops::input_ids(b, rows.ids, rows.id_sources, b.resident(state_.sampled),
                                     rows.paged.kv_slots, b.resident(state_.token_history));
    const layout::Share here = shards_.vocabulary(config_.vocab_size);
    const Value own = ops::look_up(
        b, b.resident(weights_.embedding, kRows), ids,
        {.first = static_cast<int32_t>(here.first), .count = static_cast<int32_t>(here.count)},
        "residual");
    return ops::sum_to(b, {own}, b.placement(rows.ids), "residual");
  });
  const auto eps = static_cast<float>(config_.rms_norm_eps);
  const Value final_norm = b.resident(weights_.norm);
  for (int64_t layer = 0; layer < config_.num_layers; ++layer) {
    b.set_layer(static_cast<int32_t>(layer));
    layers::MoeProbe moe_probe;
    x = layers::decoder_layer(b, weights(b, layer, layout), desc(layer), rows, x, &moe_probe);
    probe(b, state_.router_logits, layer, moe_probe.logits);
    const bool last = layer + 1 == config_.num_layers;
    if (!last) probe(b, state_.hidden, layer, x);
    if (last && options_.probes.hidden) {
      probe(b, state_.hidden, layer, ops::rms_norm(b, x, final_norm, eps, "final_normed"));
    }
  }
  b.set_layer(-1);
  const Value logits = layers::head(
      b, {.norm = final_norm, .lm_head = {.weight = b.resident(weights_.lm_head, kRows)}},
      {.eps = eps, .vocab_size = config_.vocab_size}, rows, x);
  if (state_.logits != kAbsent) {
    ops::copy(b, logits, b.rows(b.resident(state_.logits), 0, layout.num_logits));
  }
  ops::scope(b, Role::sampling, [&] { sample(b, shape, rows, logits); });
  return std::move(b).finish();
}

// From logits to the host's sampled ids, and to log probabilities where some row may want them.
void DecoderModel::sample(ops::Builder& b, const layers::StepShape& shape,
                          const layers::StepRows& rows, Value logits) const {
  const bool extended = shape.sampling == layers::Sampling::extended;
  const int64_t num_logits = b.num_rows(logits);
  const Value chosen = b.rows(b.resident(state_.sampled), 0, num_logits);
  Value adjusted = logits;
  if (extended) {
    adjusted = ops::adjust_logits(b, logits, b.resident(state_.token_history),
                                  rows.paged.block_table, rows.sampling.position, rows.adjusted,
                                  {.page_size = options_.page_size});
  }
  ops::sample(b, adjusted, rows.sampling, chosen);
  ops::read_back(b, chosen, b.rows(b.resident(state_.sampled_host), 0, num_logits));
  if (!extended) return;
  const layers::LogprobLayout layout(num_logits);
  const Value words = b.rows(b.resident(state_.logprobs), 0, layout.total);
  ops::top_logprobs(
      b, logits, chosen, rows.wanted_logprobs,
      b.words(words, layout.logprobs, Format::f32, num_logits, 1 + kernels::kMaxTopLogprobs),
      b.words(words, layout.ids, Format::i32, num_logits, kernels::kMaxTopLogprobs));
  ops::read_back(b, words, b.rows(b.resident(state_.logprobs_host), 0, layout.total));
}

}  // namespace braid::model
