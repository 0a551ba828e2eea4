#include "start/weight_source.h"

#include "model/checkpoint_source.h"
#include "model/dummy_source.h"
#include "model/unread_tensors.h"

namespace braid::start {

Result<WeightSource> open_weights(const ParsedOptions& options, const model::ModelConfig& config,
                                  Console& console) {
  const model::SourceOptions source{.check_weights = options.flag("check-weights")};
  WeightSource weights;
  if (options.text("load-format") == "dummy") {
    weights.tensors = std::make_unique<model::DummySource>(options.integer("seed"), source);
    weights.made_up = true;
    return weights;
  }
  Stage stage("opening the checkpoint", console);
  model::Checkpoint checkpoint = TRY(model::Checkpoint::open(options.text("model")));
  stage.done(format_bytes(static_cast<double>(checkpoint.bytes())));
  weights.notes = model::unread_tensors(checkpoint, config);
  weights.tensors =
      std::make_unique<model::CheckpointSource>(std::move(checkpoint), config.quantization, source);
  return weights;
}

}  // namespace braid::start
