#include "layout/layout.h"

#include <algorithm>
#include <cmath>

namespace braid::layout {
namespace {

// What these options violate; empty where they are legal.
std::string violation(const ModelSizes& model, const LayoutOptions& options) {
  const int32_t tp = options.tp, ep = options.ep;
  if (tp < 1 || ep < 1) return "tp and ep are at least 1";
  if (model.num_heads % tp != 0) return "tp divides the number of attention heads";
  const int64_t kv = model.num_kv_heads;
  if (kv > 0 && kv % tp != 0 && tp % kv != 0) {
    return "tp divides the number of KV heads, or is a multiple of it";
  }
  if (model.num_experts == 0) return ep == 1 ? "" : "ep is 1 for a model without experts";
  if (tp % ep != 0) return "ep divides the number of ranks, which is tp";
  if (model.num_experts % ep != 0) return "ep divides the number of experts";
  return "";
}

// How far apart two layouts are: doublings of tp and of ep.
std::array<double, 2> distance(const LayoutOptions& a, const LayoutOptions& b) {
  const double ep = std::abs(std::log2(static_cast<double>(a.ep) / b.ep));
  return {std::abs(std::log2(static_cast<double>(a.tp) / b.tp)) + ep, ep};
}

LayoutOptions nearest(const ModelSizes& model, const LayoutOptions& wanted) {
  const LayoutOptions target{std::max(wanted.tp, 1), std::max(wanted.ep, 1)};
  const int32_t most = static_cast<int32_t>(std::max<int64_t>(model.num_heads, 1));
  LayoutOptions best;
  for (int32_t tp = 1; tp <= most; ++tp) {
    for (int32_t ep = 1; ep <= tp; ++ep) {
      const LayoutOptions candidate{tp, ep};
      if (!violation(model, candidate).empty()) continue;
      if (distance(candidate, target) < distance(best, target)) best = candidate;
    }
  }
  return best;
}

// The groups of ranks along those axes of a mesh that have more than one rank. Nothing is summed
// over some of them only, as long as there is one copy of the attention layers.
std::vector<std::vector<int32_t>> groups_of(const Mesh& mesh) {
  std::vector<std::vector<int32_t>> groups(1);
  for (int32_t rank = 0; rank < mesh.sizes[0] * mesh.sizes[1]; ++rank) {
    groups[0].push_back(rank);
  }
  return groups;
}

// The communicator that sums over `mesh`, made unless there is one of the same ranks.
Layout::Sums add_sums(const Mesh& mesh, std::vector<Communicator>& communicators) {
  Layout::Sums sums = {-1, -1, -1};
  if (mesh.sizes[0] * mesh.sizes[1] == 1) return sums;
  const Communicator wanted{groups_of(mesh)};
  const auto found = std::find(communicators.begin(), communicators.end(), wanted);
  const auto id = static_cast<int32_t>(found - communicators.begin());
  if (found == communicators.end()) communicators.push_back(wanted);
  sums[mesh.sizes[1] == 1 ? 0 : mesh.sizes[0] == 1 ? 1 : 2] = id;
  return sums;
}

}  // namespace

std::string Layout::to_string() const {
  if (world == 1) return "1 rank";
  return fmt::format("{} ranks: attention tp {}; experts ep {} x tp {}", world, attention.sizes[1],
                     moe.sizes[0], moe.sizes[1]);
}

Result<Layout> make_layout(const ModelSizes& model, const LayoutOptions& options) {
  if (options.dp != 1) {
    return Error(ErrorKind::unsupported, "attention layers are not copied over ranks yet")
        .with("dp", options.dp)
        .remedy("Leave --dp out, or raise --tp.");
  }
  if (const std::string rule = violation(model, options); !rule.empty()) {
    const LayoutOptions legal = nearest(model, options);
    return Error(ErrorKind::usage, "the model can't be spread over ranks like this")
        .with("tp", options.tp)
        .with("ep", options.ep)
        .with("rule", rule)
        .with("attention heads", model.num_heads)
        .with("KV heads", model.num_kv_heads)
        .with("experts", model.num_experts)
        .remedy(fmt::format("The nearest layout is --tp {} --ep {}.", legal.tp, legal.ep));
  }
  Layout layout;
  layout.world = options.dp * options.tp;
  layout.attention.sizes = {options.dp, options.tp};
  layout.moe.sizes = {options.ep, layout.world / options.ep};
  layout.attention_sums = add_sums(layout.attention, layout.communicators);
  layout.moe_sums = add_sums(layout.moe, layout.communicators);
  return layout;
}

}  // namespace braid::layout
