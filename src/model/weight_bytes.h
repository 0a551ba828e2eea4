// What a rank's weights are for, in bytes: what --explain shows of a layout.
#pragma once

#include "base/format.h"
#include "experts/placement.h"
#include "layout/shards.h"
#include "model/config.h"

namespace braid::model {

// Bytes of the weight buffers of one rank, pads included; alike on all ranks of a layout.
struct WeightBytes {
  int64_t attention = 0;   // with its norms
  int64_t dense = 0;       // dense MLPs and shared experts, with the norms before all MLPs
  int64_t experts = 0;     // routed ones
  int64_t router = 0;      // whole on every rank
  int64_t vocabulary = 0;  // embedding, head and the norm before it

  int64_t total() const { return attention + dense + experts + router + vocabulary; }
};

// The bytes of the model's weights in `format`; nothing is read or allocated.
// `placement` as for plan_weights().
WeightBytes weight_bytes(const ModelConfig& config, Format format, const layout::Shards& shards,
                         const experts::ExpertPlacement* placement = nullptr);

}  // namespace braid::model
