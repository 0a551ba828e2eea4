// The five techniques, each beside what it replaces, as options of engines.
#pragma once

#include <string>
#include <vector>

#include "engine/engine_options.h"
#include "model/config.h"

namespace braid::cli {

enum class Phase { prefill, decode };

// Both sides run the same requests over the same links.
struct TechniquePair {
  std::string technique;
  std::string setting;  // what is compared
  engine::EngineOptions before;
  engine::EngineOptions after;
  Phase phase = Phase::prefill;
  bool hides = false;   // what it gains is communication that runs beside computation
  bool bitwise = true;  // the logits are to be the same bits; else within `bound`
  double bound = 0;     // relative error of the logits
  std::string published;
};

inline constexpr int32_t kTechniqueRanks = 2;

// `base`: sizes and links, all techniques off. `unsupported` for a model without
// experts.
Result<std::vector<TechniquePair>> technique_pairs(const engine::EngineOptions& base,
                                                   const model::ModelConfig& config);

}  // namespace braid::cli
