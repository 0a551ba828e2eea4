// DecoderModel: one model on one rank: its persistent buffers, and its Program for any StepShape.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "layers/decoder.h"
#include "layers/dispatch_kind.h"
#include "layers/heat_buffers.h"
#include "model/model_weights.h"

namespace braid::model {

using flow::Value;

// What a step keeps so that it can be looked at afterwards.
struct Probes {
  bool all_logits = false;  // logits of every row, kept in a buffer
  bool hidden = false;   // residual stream after each layer, the last one normed; a part's output
  bool routing = false;  // expert ids, weights and router logits of each MoE layer
  bool force_routing = false;  // expert ids come from a buffer
};

struct ModelOptions {
  // No embedding and no head: for Programs that others build of the layers (lab/layer_part.h).
  bool layers_only = false;
  Format dtype = Format::f32;
  layers::RowCounts max_rows;  // the largest step
  int32_t page_size = 16;      // tokens a KV block
  int32_t num_blocks = 0;      // KV blocks in all
  int32_t max_blocks = 0;      // of one sequence
  Probes probes;
  kernels::Choice choice = kernels::Choice::router;  // who chooses experts (dummy weights)
  double zipf_exponent = 1.0;                        // for Choice::zipf
  bool expert_heat = false;                          // buffers for it; of a model with experts
  kernels::MlaForm mla_form = kernels::MlaForm::absorbed;
  // How rows get to other ranks' experts; build() is told what was chosen for the step.
  layers::DispatchChoice dispatch = layers::DispatchChoice::automatic;
  layout::Layout layout;  // legal for the model (make_layout); the default: one rank
  int32_t rank = 0;
  // Which experts lie in which slots (placement_sizes()); null: every rank has its share of them.
  std::shared_ptr<const experts::ExpertPlacement> placement;
};

// Resident indices of what is not a weight; kAbsent or empty where not asked for.
struct StateBuffers {
  int32_t inputs_host = kAbsent;  // words [n, 1], two copies: the host fills one while a step reads
  int32_t inputs = kAbsent;       // the same on the device
  int32_t sampled = kAbsent;      // i32 [R, 1], which the next step may read
  int32_t sampled_host = kAbsent;   // the same for the host, two copies
  int32_t token_history = kAbsent;  // i32 [slots, 1], token ids beside the caches
  int32_t logprobs = kAbsent;       // words [n, 1], as LogprobLayout says
  int32_t logprobs_host = kAbsent;  // the same for the host, two copies
  std::vector<int32_t> caches;      // per layer [slots, row]
  int32_t logits = kAbsent;         // f32 [R, V]
  std::vector<int32_t> hidden;      // per layer [T, H]
  std::vector<int32_t> expert_ids, expert_weights, router_logits;  // per layer, kAbsent where dense
  int32_t dispatch_errors = kAbsent;  // f64 [L, 2], Σ (x̂ − x)², Σ x² so far; where dp > 1
  std::vector<int32_t> forced_ids;    // per layer i32 [T, K]; rows of −1 are not forced
  layers::HeatBuffers heat;
};

class DecoderModel {
 public:
  // Declares every buffer; nothing is allocated or read yet.
  DecoderModel(ModelConfig config, ModelOptions options);

  const ModelConfig& config() const { return config_; }
  const ModelOptions& options() const { return options_; }
  flow::Residents& residents() { return residents_; }
  const flow::Residents& residents() const { return residents_; }
  const WeightPlan& weights() const { return plan_; }
  const StateBuffers& state() const { return state_; }
  layers::StepLimits limits() const;
  ops::MeshSizes meshes() const;

  const layout::Shards& shards() const { return shards_; }
  // Resident indices of the weights.
  const ModelBuffers& buffers() const { return weights_; }

  // Bytes of KV cache that one token takes in all layers on one rank, with its id; alike on all of
  // them.
  static int64_t cache_bytes_per_token(const ModelConfig& config, Format dtype,
                                       const layout::Layout& layout = {});

  // The Program of a step of this shape: from the host's words to sampled ids.
  Result<flow::Program> build(const layers::StepShape& shape,
                              ops::DispatchKind dispatch = ops::DispatchKind::gather) const;
  // What a builder of another Program on this model's buffers needs: an ops::Builder on them, the
  // step's inputs, and a layer's weights and parameters.
  ops::Builder builder() const;
  layers::StepRows step_rows(ops::Builder& b, const layers::StepShape& shape,
                             const layers::InputLayout& layout, ops::DispatchKind dispatch) const;
  layers::DecoderWeights weights(ops::Builder& b, int64_t layer,
                                 const layers::InputLayout& layout) const;
  layers::DecoderDesc desc(int64_t layer) const;
  // Copies `value` into the layer's buffer, where there is one.
  void probe(ops::Builder& b, const std::vector<int32_t>& into, int64_t layer, Value value) const;

 private:
  void declare_state();
  void declare_heat();
  void sample(ops::Builder& b, const layers::StepShape& shape, const layers::StepRows& rows,
              Value logits) const;
  layers::MoeWeights moe_weights(ops::Builder& b, int64_t layer,
                                 const layers::InputLayout& layout) const;
  layers::MlpWeights shared_experts(ops::Builder& b, const MlpBuffers& buffers) const;

  ModelConfig config_;
  ModelOptions options_;
  layout::Shards shards_;
  flow::Residents residents_;
  WeightPlan plan_;
  ModelBuffers weights_;
  StateBuffers state_;
  int32_t popularity_ = kAbsent;
};

}  // namespace braid::model
