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
Result<int64_t> parse_num_experts(const ConfigReader& config, std::string_view usual) {
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
  if (!count) return config.integer(usual, kExpertRange);
  return *count;
}

}  // namespace

Status expect_text(const ConfigReader& config, std::string_view key, const std::string& supported) {
  if (!config.has(key) || TRY(config.text(key)) == supported) return {};
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

Result<RouterConfig> parse_sigmoid_router(const ConfigReader& config) {
  TRY(expect_text(config, "scoring_func", "sigmoid"));
  TRY(expect_text(config, "topk_method", "noaux_tc"));
  RouterConfig router{.score = RouterScore::sigmoid,
                      .group_score = GroupScore::sum_of_top2,
                      .correction_bias = true};
  TRY(parse_groups(config, router));
  router.normalize = TRY(config.boolean("norm_topk_prob"));
  router.scaling_factor = TRY(parse_scaling_factor(config));
  return router;
}

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

Result<MoeConfig> parse_expert_sizes(const ConfigReader& config, std::string_view count,
                                     std::string_view width) {
  MoeConfig moe;
  moe.num_experts = TRY(parse_num_experts(config, count));
  moe.top_k = TRY(config.integer("num_experts_per_tok", {1, moe.num_experts}));
  moe.expert_width = TRY(config.integer(width, kWidthRange));
  return moe;
}

Result<int64_t> parse_shared_experts(const ConfigReader& config) {
  return config.integer_or("n_shared_experts", kSharedRange, 0);
}

Result<double> parse_scaling_factor(const ConfigReader& config) {
  return config.real_or("routed_scaling_factor", kScalingRange, 1.0);
}

Result<std::vector<bool>> layers_after_first_dense(const ConfigReader& config, int64_t num_layers) {
  std::vector<bool> layers(static_cast<size_t>(num_layers), true);
  if (config.has("moe_layer_freq")) TRY(config.integer("moe_layer_freq", {1, 1}));
  const int64_t first = TRY(config.integer("first_k_dense_replace", {0, kLayerRange.high}));
  std::fill_n(layers.begin(), std::min(first, num_layers), false);
  return layers;
}

Result<MoeConfig> parse_shared_moe(const ConfigReader& config,
                                   Result<RouterConfig> (*parse_router)(const ConfigReader&)) {
  MoeConfig moe = TRY(parse_expert_sizes(config, "n_routed_experts"));
  moe.num_shared_experts = TRY(parse_shared_experts(config));
  moe.router = TRY(parse_router(config));
  TRY(check_choice(config, moe));
  return moe;
}

}  // namespace braid::model
