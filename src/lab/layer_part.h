// LayerPart: one decoder layer, or one of its projections, as a Program of its own on a model's
// weights: what benchmarks of a layer measure.
#pragma once

#include "model/decoder_model.h"

namespace braid::lab {

enum class Part {
  layer,   // rows of the residual stream to rows of it
  o_proj,  // attention's last projection and the sum over its ranks
  down,    // the dense MLP's last projection, likewise
};

// Which columns of a part's input a rank has. The buffer may be wider, with zeros behind them.
struct PartColumns {
  int64_t first = 0;
  int64_t count = 0;
  int64_t total = 0;  // of all ranks
};

class LayerPart {
 public:
  // The part of the first layer of a model on rank options.rank; declares its rows. The output is
  // kept where options.probes.hidden is set.
  LayerPart(model::ModelConfig config, model::ModelOptions options, Part part);

  Part part() const { return part_; }
  const model::DecoderModel& model() const { return model_; }
  flow::Residents& residents() { return model_.residents(); }
  PartColumns columns() const;

  // The Program of a step of this shape, from in() to out().
  Result<flow::Program> build(const layers::StepShape& shape,
                              ops::DispatchKind dispatch = ops::DispatchKind::gather) const;

  // Resident indices; kAbsent where there is none.
  int32_t in() const { return in_; }
  int32_t out() const { return out_; }
  int32_t sums() const { return sums_; }  // rows for its sums over ranks, where they run alone

 private:
  flow::Value run_layer(ops::Builder& b, const layers::StepShape& shape, ops::DispatchKind dispatch,
                        const layers::InputLayout& layout, flow::Value x) const;
  flow::Value run_linear(ops::Builder& b, const layers::InputLayout& layout, flow::Value x) const;

  Part part_;
  model::DecoderModel model_;
  int32_t in_ = model::kAbsent, out_ = model::kAbsent, sums_ = model::kAbsent;
};

}  // namespace braid::lab
