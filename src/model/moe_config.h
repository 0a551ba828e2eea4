// The experts of a Mixture-of-Experts layer and how its router chooses them.
#pragma once

#include <cstdint>
#include <vector>

#include "model/architecture.h"
#include "model/config_reader.h"

namespace braid::model {

enum class RouterScore : uint8_t {
  softmax,           // over all experts, before the top-k
  sigmoid,           // of each expert's logit
  softmax_over_topk  // over the logits of the chosen experts: the weights sum to 1
};

enum class GroupScore : uint8_t {
  max,         // a group counts as much as its best expert
  sum_of_top2  // as its two best experts
};

// Selection: scores [T, E] (+ correction bias) → the topk_group best of n_group equal groups of
// experts → the top_k best experts in them. Weights: the scores without bias of the chosen experts,
// divided by their sum when `normalize`, times scaling_factor.
struct RouterConfig {
  RouterScore score = RouterScore::softmax;
  int64_t n_group = 1;     // 1: no groups
  int64_t topk_group = 1;  // of n_group; equal to it: no group is dropped
  GroupScore group_score = GroupScore::max;
  bool correction_bias = false;  // e_score_correction_bias f32 [E], for the selection only
  bool normalize = false;
  double scaling_factor = 1.0;  // routed_scaling_factor
};

struct MoeConfig {
  int64_t num_experts = 0;
  int64_t top_k = 0;
  int64_t expert_width = 0;        // rows of one expert's gate and up
  int64_t num_shared_experts = 0;  // one MLP of width num_shared_experts · expert_width; 0: none
  RouterConfig router;
};

// Reads the experts of an architecture that has them (all but qwen2).
Result<MoeConfig> parse_moe(const ConfigReader& config, Architecture architecture);

// [num_layers]: which layers have experts; the others have a dense MLP of intermediate_size.
Result<std::vector<bool>> parse_moe_layers(const ConfigReader& config, Architecture architecture,
                                           int64_t num_layers);

}  // namespace braid::model
