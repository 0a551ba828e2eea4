// Engines of one model under different options, timed in turn on the same requests.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "lab/evaluate.h"
#include "lab/paired.h"
#include "start/resolve.h"

namespace braid::lab {

struct EngineVariant {
  std::string name;
  start::EngineOptions options;
};

// Seconds of one variant, one sample a round: from submission until every request has its first
// token; and of a later step, which gives each request one token more (the mean of the round).
struct EngineTimes {
  std::vector<double> prefill;
  std::vector<double> decode;  // none where requests end with their first token
};

class PairedEngines {
 public:
  // All variants are in memory at once; each runs with its own ranks.
  static Result<std::unique_ptr<PairedEngines>> create(const model::ModelConfig& config,
                                                       std::vector<EngineVariant> variants,
                                                       const model::TensorSource& source);

  // Runs `requests` on each variant, the variants in a new random order every round, after one
  // round that warms up. Times by variant, in their order.
  Result<std::vector<EngineTimes>> time(std::span<const engine::Request> requests, int64_t rounds,
                                        uint64_t seed);

  const EngineVariant& variant(size_t index) const { return variants_[index]; }
  engine::Engine& engine(size_t index) { return *engines_[index]; }
  size_t size() const { return variants_.size(); }

 private:
  std::vector<EngineVariant> variants_;
  std::vector<std::unique_ptr<engine::Engine>> engines_;
};

// Logits after each of `ids` under these options, by an engine of its own.
Result<Logits> logits_under(const model::ModelConfig& config, start::EngineOptions options,
                            const model::TensorSource& source, std::span<const int32_t> ids);

// How far logits are from others: ‖a − b‖ / ‖b‖; 0 where they are equal bit by bit.
double relative_error(const Logits& a, const Logits& b);

}  // namespace braid::lab
