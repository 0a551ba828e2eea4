#include "model/moe_config.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

namespace braid::model {
namespace {

constexpr IntRange kSharedRange{0, 64};
constexpr RealRange kScalingRange{1e-6, 1e6};

// The number of experts under any of its three names; those that are there must agree.
Result<int64_t> parse_num_experts(const ConfigReader& config) {
  constexpr std::array<std::string_view, 3> kNames = {"n_routed_experts", "num_experts",
                                                      "num_local_experts"};
  std::optional<int64_t> count;
  for (const std::string_view name : kNames) {
    if (!config.has(name)) continue;
    const int64_t value = TRY(config.integer(name, kExpertRange));
    if (count && *count != value) {
      return config.error(ErrorKind::corrupt_data, "two keys give different numbers of experts",
                          name);
    }
    count = value;
  }
  if (!count) return config.integer("num_experts", kExpertRange);  // the error of a missing key
  return *count;
}

Status expect_text(const ConfigReader& config, std::string_view key, const std::string& supported) {
  if (TRY(config.text_or(key, supported)) == supported) return {};
  return config.error(ErrorKind::unsupported, "braid has no such routing in this architecture", key)
      .remedy("Supported for this architecture: " + supported + ".");
}

Status parse_groups(const ConfigReader& config, RouterConfig& router) {
  router.n_group = TRY(config.integer_or("n_group", kExpertRange, 1));
  const IntRange kept{1, router.n_group};
  router.topk_group = TRY(router.n_group > 1 ? config.integer("topk_group", kept)
                                             : config.integer_or("topk_group", kept, 1));
  return {};
}

// GLM-4.5 and DeepSeek-V3: sigmoid scores, a bias for the selection, groups by their two best.
Result<RouterConfig> parse_sigmoid_router(const ConfigReader& config) {
  TRY(expect_text(config, "scoring_func", "sigmoid"));
  TRY(expect_text(config, "topk_method", "noaux_tc"));
  RouterConfig router{.score = RouterScore::sigmoid,
                      .group_score = GroupScore::sum_of_top2,
                      .correction_bias = true};
  TRY(parse_groups(config, router));
  router.normalize = TRY(config.boolean("norm_topk_prob"));
  router.scaling_factor = TRY(config.real_or("routed_scaling_factor", kScalingRange, 1.0));
  return router;
}

Result<RouterConfig> parse_deepseek_v2_router(const ConfigReader& config) {
  TRY(expect_text(config, "scoring_func", "softmax"));
  RouterConfig router{.score = RouterScore::softmax, .group_score = GroupScore::max};
  const std::string method = TRY(config.text("topk_method"));
  if (method == "group_limited_greedy") {
    TRY(parse_groups(config, router));
  } else if (method != "greedy") {
    return config
        .error(ErrorKind::unsupported, "braid has no such routing in this architecture",
               "topk_method")
        .remedy("Supported for this architecture: greedy, group_limited_greedy.");
  }
  // The published implementations disagree on what true means; no published model has it.
  if (TRY(config.boolean("norm_topk_prob"))) {
    return config
        .error(ErrorKind::unsupported, "braid has no such routing in this architecture",
               "norm_topk_prob")
        .remedy("Supported for this architecture: false.");
  }
  router.scaling_factor = TRY(config.real_or("routed_scaling_factor", kScalingRange, 1.0));
  return router;
}

Result<RouterConfig> parse_router(const ConfigReader& config, Architecture architecture) {
  switch (architecture) {
    case Architecture::glm4_moe:
    case Architecture::deepseek_v3: return parse_sigmoid_router(config);
    case Architecture::deepseek_v2: return parse_deepseek_v2_router(config);
    case Architecture::qwen3_moe:
      return RouterConfig{.score = RouterScore::softmax,
                          .normalize = TRY(config.boolean("norm_topk_prob"))};
    case Architecture::mixtral: return RouterConfig{.score = RouterScore::softmax_over_topk};
    case Architecture::qwen2: break;
  }
  return Error(ErrorKind::internal, "this architecture has no experts")
      .with("architecture", name_of(architecture));
}

// That top_k experts can be chosen from the groups that are kept.
Status check_choice(const ConfigReader& config, const MoeConfig& moe) {
  const RouterConfig& router = moe.router;
  if (moe.num_experts % router.n_group != 0) {
    return config
        .error(ErrorKind::corrupt_data, "n_group does not divide the number of experts", "n_group")
        .with("experts", moe.num_experts);
  }
  const int64_t group_size = moe.num_experts / router.n_group;
  if (router.n_group > 1 && router.group_score == GroupScore::sum_of_top2 && group_size < 2) {
    return config
        .error(ErrorKind::corrupt_data, "a group needs two experts for its score", "n_group")
        .with("experts", moe.num_experts);
  }
  if (moe.top_k > group_size * router.topk_group) {
    return config
        .error(ErrorKind::corrupt_data, "more experts per token than can be chosen",
               "num_experts_per_tok")
        .with("experts in the groups that are kept", group_size * router.topk_group);
  }
  return {};
}

}  // namespace

Result<MoeConfig> parse_moe(const ConfigReader& config, Architecture architecture) {
  const bool mixtral = architecture == Architecture::mixtral;
  const bool shared = !mixtral && architecture != Architecture::qwen3_moe;
  MoeConfig moe;
  moe.num_experts = TRY(parse_num_experts(config));
  moe.top_k = TRY(config.integer("num_experts_per_tok", {1, moe.num_experts}));
  moe.expert_width =
      TRY(config.integer(mixtral ? "intermediate_size" : "moe_intermediate_size", kWidthRange));
  if (shared) moe.num_shared_experts = TRY(config.integer_or("n_shared_experts", kSharedRange, 0));
  moe.router = TRY(parse_router(config, architecture));
  TRY(check_choice(config, moe));
  return moe;
}

Result<std::vector<bool>> parse_moe_layers(const ConfigReader& config, Architecture architecture,
                                           int64_t num_layers) {
  std::vector<bool> layers(static_cast<size_t>(num_layers), architecture != Architecture::qwen2);
  if (architecture == Architecture::qwen2 || architecture == Architecture::mixtral) return layers;
  if (architecture == Architecture::qwen3_moe) {
    const int64_t step = TRY(config.integer_or("decoder_sparse_step", kLayerRange, 1));
    const auto dense = TRY(config.integers("mlp_only_layers", {0, kLayerRange.high}));
    for (int64_t i = 0; i < num_layers; ++i) layers[static_cast<size_t>(i)] = (i + 1) % step == 0;
    for (const int64_t i : dense) {
      if (i < num_layers) layers[static_cast<size_t>(i)] = false;
    }
    return layers;
  }
  TRY(config.integer_or("moe_layer_freq", {1, 1}, 1));  // experts in every layer from the first
  const int64_t first = TRY(config.integer("first_k_dense_replace", {0, kLayerRange.high}));
  std::fill_n(layers.begin(), std::min(first, num_layers), false);
  return layers;
}

}  // namespace braid::model
