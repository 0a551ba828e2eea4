// Where weights come from: the model's checkpoint, or with --load-format dummy they are made up.
#pragma once

#include <memory>

#include "base/options.h"
#include "base/progress.h"
#include "model/config.h"
#include "model/tensor_source.h"

namespace braid::start {

struct WeightSource {
  std::unique_ptr<model::TensorSource> tensors;
  std::vector<model::Note> notes;  // about tensors that the model has no use for
  bool made_up = false;
};

Result<WeightSource> open_weights(const ParsedOptions& options, const model::ModelConfig& config,
                                  Console& console);

}  // namespace braid::start
