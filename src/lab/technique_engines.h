// The techniques in whole steps of a model, on threads over emulated links.
#pragma once

#include <functional>

#include "base/link_speed.h"
#include "base/log.h"
#include "lab/technique_row.h"
#include "model/tensor_source.h"

namespace braid::lab {

inline constexpr int32_t kTechniqueRequests = 2;  // one a group where there are groups

// What is run, and how often.
struct TechniqueEffort {
  int32_t input_len = 0;
  int32_t output_len = 0;
  int64_t rounds = 0;
};
inline constexpr TechniqueEffort kQuickEffort = {.input_len = 192, .output_len = 9, .rounds = 5};
inline constexpr TechniqueEffort kFullEffort = {.input_len = 512, .output_len = 33, .rounds = 15};

struct EngineTechniqueSetting {
  const model::ModelConfig& config;
  const model::TensorSource& source;
  TechniqueEffort effort;
  Format dtype = Format::f32;
  std::optional<LinkSpeed> link;  // none: one that takes 30 % of a serial prefill
  uint64_t seed = 0;
  std::function<bool()> ends_early = {};  // asked before each technique
};

struct EngineTechniqueRows {
  LinkSpeed link;
  std::vector<TechniqueRow> rows;
  std::vector<LeftOut> left_out;
};

// Both sides of each pair run the same requests in turn; stages are told on the console.
Result<EngineTechniqueRows> compare_engines(const EngineTechniqueSetting& setting,
                                            Console& console);

}  // namespace braid::lab
