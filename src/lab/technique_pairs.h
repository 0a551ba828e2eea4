// The five techniques, each beside what it replaces.
#pragma once

#include <string>
#include <vector>

#include "lab/layer_pairs.h"

namespace braid::lab {

enum class Phase { prefill, decode };

struct TechniquePair {
  std::string technique;
  std::string setting;  // what is compared
  PairSide before;
  PairSide after;
  Phase phase = Phase::prefill;
  bool hides = false;   // what it gains is communication that runs beside computation
  bool bitwise = true;  // both sides' results are to be the same bits; else within `bound`
  double bound = 0;     // relative error of `after`
  std::string published;
};

// A technique that can't be compared here.
struct LeftOut {
  std::string technique;
  std::string why;
};

inline constexpr int32_t kTechniqueRanks = 2;

// Whole steps of a model: both sides run the same requests over the same links.
struct EnginePairs {
  std::vector<TechniquePair> pairs;
  std::vector<LeftOut> left_out;
};
// `unsupported` for a model without experts.
Result<EnginePairs> engine_pairs(const model::ModelConfig& config);

// Whose layers are measured alone. The first layer of `shapes[*moe]` has experts.
struct LayerShapes {
  std::vector<model::ModelConfig> shapes;
  std::vector<std::string> names;
  std::optional<size_t> moe;  // none: nothing here has experts
  size_t summed = 0;          // whose sums over ranks are cut in chunks
};
// GLM-4.5-Air and Qwen2.5-72B.
Result<LayerShapes> published_shapes();
LayerShapes shapes_of(const model::ModelConfig& config, const std::string& name);

// The rows of layers, and on what.
struct LayerFacts {
  ranks::DeviceKind device = ranks::DeviceKind::cpu;
  int32_t ranks = kTechniqueRanks;  // or 1
  Format dtype = Format::f32;
  int32_t prefill = 0;  // rows of a rank
  int32_t decode = 0;   // likewise
  int32_t context = 0;  // tokens in the cache of each of these
  int32_t summed = 0;   // rows whose sums are cut in chunks
};
struct LayerTechnique {
  TechniquePair pair;
  size_t shape = 0;
  LayerRows rows;
};
struct LayerTechniques {
  std::vector<LayerTechnique> pairs;
  std::vector<LeftOut> left_out;
};
LayerTechniques layer_pairs(const LayerShapes& shapes, const LayerFacts& facts);

}  // namespace braid::lab
