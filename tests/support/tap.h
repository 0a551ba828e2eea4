// Tap: records what an Engine's steps leave in its probe buffers, by request and position.
#pragma once

#include <map>
#include <vector>

#include "engine/engine.h"

namespace braid::testing {

// Everything that one token left behind; empty where the probe is off.
struct TokenRecord {
  std::vector<float> logits;                       // [V]
  std::vector<std::vector<float>> hidden;          // [layer][H]
  std::vector<std::vector<int32_t>> experts;       // [layer][K]; empty for dense layers
  std::vector<std::vector<float>> expert_weights;  // [layer][K]
  std::vector<std::vector<float>> router_logits;   // [layer][E]
};

class Tap {
 public:
  // Observes `engine`, which must outlive the Tap's use and have the all_logits probe.
  explicit Tap(engine::Engine& engine);

  // Records of a request by position. A position that was computed again (after preemption) must
  // have left the same bytes: else mismatches() grows.
  const std::vector<TokenRecord>& of(engine::RequestId request) const;
  int64_t mismatches() const { return mismatches_; }

 private:
  void record(ranks::Worker& leader, const engine::GroupStep& step);
  TokenRecord read(ranks::Worker& leader, int64_t row, int64_t logit_row) const;

  engine::Engine& engine_;
  std::map<engine::RequestId, std::vector<TokenRecord>> records_;
  int64_t mismatches_ = 0;
};

}  // namespace braid::testing
