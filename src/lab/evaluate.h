// What a model says about given tokens: logits, routing, and the likelihood of a text. All of it
// runs through the engine, step by step, as serving does.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "engine/engine.h"

namespace braid::lab {

// Expert ids of one layer, i64 [N, K], row-major.
using LayerExperts = std::vector<int64_t>;

// Per MoE layer, by its number.
using ForcedRouting = std::map<int64_t, LayerExperts>;

// Reads the tensors "experts.L" i64 [N, K] of every MoE layer L from a safetensors file. Errors:
// not_found (file or tensor), corrupt_data (type, shape, or an id that is no expert).
Result<ForcedRouting> read_forced_routing(const std::string& path, const model::ModelConfig& config,
                                          int64_t num_tokens);

struct LayerRouting {
  LayerExperts experts;        // [N, K]
  std::vector<float> weights;  // [N, K]
};

struct Logits {
  int64_t num_tokens = 0;
  int64_t vocab_size = 0;
  std::vector<float> values;                // [N, V]: row n after tokens 0 … n
  std::map<int64_t, LayerRouting> routing;  // per MoE layer; empty unless probed
};

// Logits after each of `ids`. The engine's model must have the probes all_logits, routing where the
// routing is wanted, and force_routing if and only if `forced` is given.
Result<Logits> evaluate_logits(engine::Engine& engine, std::span<const int32_t> ids,
                               const ForcedRouting* forced = nullptr);

// The first token with a logit that is NaN or infinite; −1 where there is none.
int64_t first_not_finite(const Logits& logits);

// Writes "logits" f32 [N, V] and, where there is any routing, "experts.L" i64 [N, K] and
// "expert_weights.L" f32 [N, K].
Status write_logits(const std::string& path, const Logits& logits);

struct Likelihood {
  int64_t tokens = 0;    // that were predicted
  double total_nll = 0;  // sum of −ln p

  double mean_nll() const { return total_nll / static_cast<double>(tokens); }
  double perplexity() const;
};

// Scores a text of n ids: cut into windows of `window` ids, each seen from position 0 on its own,
// every id but the text's first predicted once. The engine's model must have the probe all_logits.
// `progress` is told after each step how many tokens it scored.
Result<Likelihood> evaluate_likelihood(engine::Engine& engine, std::span<const int32_t> ids,
                                       int64_t window,
                                       const std::function<void(int64_t)>& progress = nullptr);

}  // namespace braid::lab
