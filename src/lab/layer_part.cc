// Parts of a model that run alone: what benchmarks of a layer measure.
#include "model/decoder_model.h"
#include "ops/rows.h"

namespace braid::model {

using flow::Role;
using layers::InputLayout;

namespace {

// Rows that differ along dp.
constexpr ops::Placement kOwnRows = {.axes = {ops::Shard::row_sharded, ops::Shard::replicated}};
// Columns split over the ranks of the attention mesh.
constexpr ops::Placement kSplitColumns = {
    .axes = {ops::Shard::replicated, ops::Shard::col_sharded}};

}  // namespace

void DecoderModel::declare_part(int64_t rows) {
  const auto carried = [&](std::string name, int64_t cols) {
    return residents_.declare({.name = std::move(name),
                               .format = options_.dtype,
                               .rows = rows,
                               .cols = cols,
                               .lifetime = flow::Lifetime::carried});
  };
  const LayerBuffers& layer = weights_.layers.front();
  int64_t cols = config_.hidden_size;
  if (options_.part == Part::o_proj) cols = residents_[layer.attention.o].cols;
  if (options_.part == Part::down) cols = residents_[layer.mlp.down].cols;
  state_.part_in = carried("part.in", cols);
  if (options_.layout.world > 1) state_.part_sums = carried("part.sums", config_.hidden_size);
  if (options_.probes.hidden) state_.part_out = carried("part.out", config_.hidden_size);
}

PartColumns DecoderModel::part_columns() const {
  if (options_.part == Part::down) {
    const layout::Share width = shards_.mlp_width(config_.intermediate_size);
    return {width.first, width.count, config_.intermediate_size};
  }
  if (options_.part == Part::o_proj) {
    const AttentionConfig& attention = config_.attention_of(0);
    const auto* gqa = std::get_if<GqaConfig>(&attention);
    const int64_t head = gqa != nullptr ? gqa->head_dim : std::get<MlaConfig>(attention).v_head_dim;
    const int64_t num_heads =
        gqa != nullptr ? gqa->num_heads : std::get<MlaConfig>(attention).num_heads;
    const layout::Share heads = shards_.heads();
    return {heads.first * head, heads.count * head, num_heads * head};
  }
  return {0, config_.hidden_size, config_.hidden_size};
}

Value DecoderModel::run_layer(ops::Builder& b, const layers::StepShape& shape,
                              ops::DispatchKind dispatch, const InputLayout& layout,
                              Value x) const {
  const layers::StepRows rows = step_rows(b, shape, layout, dispatch);
  b.set_layer(0);
  layers::MoeProbe moe_probe;
  const Value out = layers::decoder_layer(b, weights(b, 0, layout), desc(0), rows, x, &moe_probe);
  probe(b, state_.router_logits, 0, moe_probe.logits);
  return out;
}

Value DecoderModel::run_linear(ops::Builder& b, const InputLayout& layout, Value x) const {
  const layers::DecoderWeights w = weights(b, 0, layout);
  b.set_layer(0);
  const bool attention = options_.part == Part::o_proj;
  return ops::scope(b, attention ? Role::attention : Role::mlp, [&] {
    const auto o_of = [](const auto& of_attention) { return of_attention.o; };
    const ops::Linear linear =
        attention ? std::visit(o_of, w.attention) : std::get<layers::MlpWeights>(w.mlp).down;
    const Value out = ops::gemm(b, x, linear, b.format(x), "part");
    return ops::sum_to(b, {out}, {}, "part_sum");
  });
}

Result<flow::Program> DecoderModel::build_part(const layers::StepShape& shape,
                                               ops::DispatchKind dispatch) const {
  ops::Builder b = builder();
  const InputLayout layout(shape.own, limits());
  const bool layer = options_.part == Part::layer;
  const Value in = b.resident(state_.part_in, layer ? kOwnRows : kSplitColumns);
  const Value x = b.rows(in, 0, layout.num_rows);
  const Value out = layer ? run_layer(b, shape, dispatch, layout, x) : run_linear(b, layout, x);
  b.set_layer(-1);
  b.set_role(Role::head);
  if (state_.part_out != kAbsent) {
    ops::copy(b, out, b.rows(b.resident(state_.part_out), 0, layout.num_rows));
  }
  return std::move(b).finish();
}

}  // namespace braid::model
