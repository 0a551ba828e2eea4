// The experts of a Mixture-of-Experts layer and how its router chooses them.
#pragma once

#include <cstdint>
#include <vector>

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

// Below: what families read their experts with.

// Counts and widths, without shared experts. `count` is the key with the family's number of
// experts; the names of other families are read, too. `width` is the key with an expert's width.
Result<MoeConfig> parse_expert_sizes(const ConfigReader& config, std::string_view count,
                                     std::string_view width = "moe_intermediate_size");
// n_shared_experts.
Result<int64_t> parse_shared_experts(const ConfigReader& config);
// GLM-4.5 and DeepSeek-V3: sigmoid scores, a bias for the selection, groups by their two best.
Result<RouterConfig> parse_sigmoid_router(const ConfigReader& config);
// n_group and topk_group.
Status parse_groups(const ConfigReader& config, RouterConfig& router);
// routed_scaling_factor.
Result<double> parse_scaling_factor(const ConfigReader& config);
// An error unless `key` is absent or `supported`.
Status expect_text(const ConfigReader& config, std::string_view key, const std::string& supported);

// That top_k experts can be chosen from the groups that are kept.
Status check_choice(const ConfigReader& config, const MoeConfig& moe);

// The experts of a family that has "n_routed_experts" and shared ones, with the family's own way to
// read the router.
Result<MoeConfig> parse_shared_moe(const ConfigReader& config,
                                   Result<RouterConfig> (*parse_router)(const ConfigReader&));

// [num_layers]: experts in every layer from first_k_dense_replace on.
Result<std::vector<bool>> layers_after_first_dense(const ConfigReader& config, int64_t num_layers);

}  // namespace braid::model
