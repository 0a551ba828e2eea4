#include "lab/layer_part.h"

#include "ops/rows.h"

namespace braid::lab {

using flow::Role;
using flow::Value;
using layers::InputLayout;

namespace {

// Rows that differ along dp.
constexpr ops::Placement kOwnRows = {.axes = {ops::Shard::row_sharded, ops::Shard::replicated}};
// Columns split over the ranks of the attention mesh.
constexpr ops::Placement kSplitColumns = {
    .axes = {ops::Shard::replicated, ops::Shard::col_sharded}};

model::ModelConfig first_layer(model::ModelConfig config) {
  config.num_layers = 1;
  return config;
}

model::ModelOptions without_ends(model::ModelOptions options) {
  options.layers_only = true;
  return options;
}

}  // namespace

LayerPart::LayerPart(model::ModelConfig config, model::ModelOptions options, Part part)
    : part_(part), model_(first_layer(std::move(config)), without_ends(std::move(options))) {
  const model::ModelOptions& of_model = model_.options();
  const int64_t rows = InputLayout(of_model.max_rows, model_.limits()).num_rows;
  const auto carried = [&](std::string name, int64_t cols) {
    return residents().declare({.name = std::move(name),
                                .format = of_model.dtype,
                                .rows = rows,
                                .cols = cols,
                                .lifetime = flow::Lifetime::carried});
  };
  const model::LayerBuffers& layer = model_.buffers().layers.front();
  const int64_t width = model_.config().hidden_size;
  int64_t cols = width;
  if (part == Part::o_proj) cols = residents()[layer.attention.o].cols;
  if (part == Part::down) cols = residents()[layer.mlp.down].cols;
  in_ = carried("part.in", cols);
  if (of_model.layout.world > 1) sums_ = carried("part.sums", width);
  if (of_model.probes.hidden) out_ = carried("part.out", width);
}

PartColumns LayerPart::columns() const {
  if (part_ == Part::down) {
    const layout::Share width = model_.shards().mlp_width(model_.config().intermediate_size);
    return {width.first, width.count, model_.config().intermediate_size};
  }
  if (part_ == Part::o_proj) {
    const model::AttentionConfig& attention = model_.config().attention_of(0);
    const auto* gqa = std::get_if<model::GqaConfig>(&attention);
    const int64_t head =
        gqa != nullptr ? gqa->head_dim : std::get<model::MlaConfig>(attention).v_head_dim;
    const int64_t num_heads =
        gqa != nullptr ? gqa->num_heads : std::get<model::MlaConfig>(attention).num_heads;
    const layout::Share heads = model_.shards().heads();
    return {heads.first * head, heads.count * head, num_heads * head};
  }
  return {0, model_.config().hidden_size, model_.config().hidden_size};
}

Value LayerPart::run_layer(ops::Builder& b, const layers::StepShape& shape,
                           ops::DispatchKind dispatch, const InputLayout& layout, Value x) const {
  const layers::StepRows rows = model_.step_rows(b, shape, layout, dispatch);
  b.set_layer(0);
  layers::MoeProbe moe_probe;
  const Value out =
      layers::decoder_layer(b, model_.weights(b, 0, layout), model_.desc(0), rows, x, &moe_probe);
  model_.probe(b, model_.state().router_logits, 0, moe_probe.logits);
  return out;
}

Value LayerPart::run_linear(ops::Builder& b, const InputLayout& layout, Value x) const {
  const layers::DecoderWeights w = model_.weights(b, 0, layout);
  b.set_layer(0);
  const bool attention = part_ == Part::o_proj;
  return ops::scope(b, attention ? Role::attention : Role::mlp, [&] {
    const auto o_of = [](const auto& of_attention) { return of_attention.o; };
    const ops::Linear linear =
        attention ? std::visit(o_of, w.attention) : std::get<layers::MlpWeights>(w.mlp).down;
    const Value out = ops::gemm(b, x, linear, b.format(x), "part");
    return ops::sum_to(b, {out}, {}, "part_sum");
  });
}

Result<flow::Program> LayerPart::build(const layers::StepShape& shape,
                                       ops::DispatchKind dispatch) const {
  ops::Builder b = model_.builder();
  const InputLayout layout(shape.own, model_.limits());
  const bool layer = part_ == Part::layer;
  const Value in = b.resident(in_, layer ? kOwnRows : kSplitColumns);
  const Value x = b.rows(in, 0, layout.num_rows);
  const Value out = layer ? run_layer(b, shape, dispatch, layout, x) : run_linear(b, layout, x);
  b.set_layer(-1);
  b.set_role(Role::head);
  if (out_ != model::kAbsent) {
    ops::copy(b, out, b.rows(b.resident(out_), 0, layout.num_rows));
  }
  return std::move(b).finish();
}

}  // namespace braid::lab
