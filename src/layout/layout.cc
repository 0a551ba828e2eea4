#include "layout/layout.h"

#include <algorithm>
#include <cmath>

namespace braid::layout {
namespace {

LayoutOptions with_default_ep(LayoutOptions options) {
  if (options.ep == 0) options.ep = options.dp > 1 ? options.dp * options.tp : 1;
  return options;
}

// What these options violate; empty where they are legal.
std::string violation(const ModelSizes& model, const LayoutOptions& options) {
  const int32_t tp = options.tp, ep = options.ep, dp = options.dp;
  if (tp < 1 || ep < 1 || dp < 1) return "tp, ep and dp are at least 1";
  if (model.num_heads % tp != 0) return "tp divides the number of attention heads";
  const int64_t kv = model.num_kv_heads;
  if (kv > 0 && kv % tp != 0 && tp % kv != 0) {
    return "tp divides the number of KV heads, or is a multiple of it";
  }
  if (model.num_experts == 0) {
    if (dp != 1) return "dp is 1 for a model without experts";
    return ep == 1 ? "" : "ep is 1 for a model without experts";
  }
  if (dp == 1 && tp % ep != 0) return "ep divides the number of ranks, which is tp";
  if (dp * tp % ep != 0) return "ep divides the number of ranks, which is dp x tp";
  if (model.num_experts % ep != 0) return "ep divides the number of experts";
  return "";
}

// How far apart two layouts are: doublings of tp, of ep and of dp.
std::array<double, 2> distance(const LayoutOptions& a, const LayoutOptions& b) {
  const auto doublings = [](int32_t x, int32_t y) {
    return std::abs(std::log2(static_cast<double>(x) / y));
  };
  const double ep = doublings(a.ep, b.ep);
  return {doublings(a.tp, b.tp) + doublings(a.dp, b.dp) + ep, ep};
}

LayoutOptions nearest(const ModelSizes& model, const LayoutOptions& wanted) {
  const LayoutOptions target{std::max(wanted.tp, 1), std::max(wanted.ep, 1),
                             std::max(wanted.dp, 1)};
  const int32_t most_tp = static_cast<int32_t>(std::max<int64_t>(model.num_heads, 1));
  const int32_t most_ep = static_cast<int32_t>(std::max<int64_t>(model.num_experts, 1));
  LayoutOptions best{1, 1, 1};
  for (const int32_t dp : {1, target.dp}) {
    for (int32_t tp = 1; tp <= most_tp; ++tp) {
      for (int32_t ep = 1; ep <= std::min(dp * tp, most_ep); ++ep) {
        const LayoutOptions candidate{tp, ep, dp};
        if (!violation(model, candidate).empty()) continue;
        if (distance(candidate, target) < distance(best, target)) best = candidate;
      }
    }
  }
  return best;
}

// The groups of ranks along an axis of a mesh: 0, 1, or 2 for both.
RankGroups along(const Mesh& mesh, size_t axis) {
  const int32_t world = mesh.sizes[0] * mesh.sizes[1];
  RankGroups communicator;
  communicator.groups.resize(axis == 2 ? 1 : static_cast<size_t>(mesh.sizes[1 - axis]));
  for (int32_t rank = 0; rank < world; ++rank) {
    const auto group = axis == 2 ? 0 : static_cast<size_t>(mesh.coordinates(rank)[1 - axis]);
    communicator.groups[group].push_back(rank);
  }
  return communicator;
}

// The id of this communicator, added unless it is there.
int32_t id_of(const RankGroups& wanted, std::vector<RankGroups>& communicators) {
  const auto found = std::find(communicators.begin(), communicators.end(), wanted);
  const auto id = static_cast<int32_t>(found - communicators.begin());
  if (found == communicators.end()) communicators.push_back(wanted);
  return id;
}

// One group of all ranks of a mesh, which sums over the axes that have several.
Layout::Sums sums_of_all(const Mesh& mesh, std::vector<RankGroups>& communicators) {
  Layout::Sums sums = {-1, -1, -1};
  if (mesh.sizes[0] * mesh.sizes[1] == 1) return sums;
  const size_t axis = mesh.sizes[1] == 1 ? 0 : mesh.sizes[0] == 1 ? 1 : 2;
  sums[axis] = id_of(along(mesh, axis), communicators);
  return sums;
}

}  // namespace

std::string Layout::to_string() const {
  if (world == 1) return "1 rank";
  const std::string dp = attention.sizes[0] == 1 ? "" : fmt::format("dp {} x ", attention.sizes[0]);
  return fmt::format("{} ranks: attention {}tp {}; experts ep {} x tp {}", world, dp,
                     attention.sizes[1], moe.sizes[0], moe.sizes[1]);
}

Result<Layout> make_layout(const ModelSizes& model, const LayoutOptions& wanted) {
  const LayoutOptions options = with_default_ep(wanted);
  if (const std::string rule = violation(model, options); !rule.empty()) {
    const LayoutOptions legal = nearest(model, options);
    Error error = Error(ErrorKind::usage, "the model can't be spread over ranks like this")
                      .with("tp", options.tp)
                      .with("ep", options.ep);
    if (options.dp != 1) error = std::move(error).with("dp", options.dp);
    return std::move(error)
        .with("rule", rule)
        .with("attention heads", model.num_heads)
        .with("KV heads", model.num_kv_heads)
        .with("experts", model.num_experts)
        .remedy(fmt::format("The nearest layout is --tp {} --ep {}{}.", legal.tp, legal.ep,
                            legal.dp == 1 ? "" : fmt::format(" --dp {}", legal.dp)));
  }
  Layout layout;
  layout.world = options.dp * options.tp;
  layout.attention.sizes = {options.dp, options.tp};
  layout.moe.sizes = {options.ep, layout.world / options.ep};
  if (options.dp == 1) {
    layout.attention_sums = sums_of_all(layout.attention, layout.communicators);
    layout.moe_sums = sums_of_all(layout.moe, layout.communicators);
    return layout;
  }
  for (const size_t axis : {0, 1}) {
    if (layout.attention.sizes[axis] == 1) continue;
    layout.attention_sums[axis] = id_of(along(layout.attention, axis), layout.communicators);
  }
  return layout;
}

}  // namespace braid::layout
