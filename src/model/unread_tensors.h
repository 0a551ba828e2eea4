// Tensors of a checkpoint that the model does not read: a config.json that does not announce them
// gives other results than the checkpoint's.
#pragma once

#include <vector>

#include "model/checkpoint.h"
#include "model/config.h"

namespace braid::model {

// What to tell: tensors of layers behind the last one, those of multi-token-prediction layers
// apart; tensors in layers that are used, by kinds with their counts; an lm_head that differs from
// the embedding though they are tied. Scales of activations and caches are no such tensors.
std::vector<Note> unread_tensors(const Checkpoint& checkpoint, const ModelConfig& config);

}  // namespace braid::model
