// Layouts: how a model's tensors are spread over ranks. Pure: a function of the model's sizes and
// the options alone, the same on every rank.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"

namespace braid::layout {

// The sizes of a model that decide which layouts it can have.
struct ModelSizes {
  int64_t num_heads = 1;
  int64_t num_kv_heads = 0;  // 0: one latent for all heads (MLA)
  int64_t num_experts = 0;   // 0: no experts
};

struct LayoutOptions {
  int32_t tp = 1;  // ranks that share every attention and dense layer
  int32_t ep = 0;  // groups of ranks that have different experts; 0: 1, or all ranks where dp > 1
  int32_t dp = 1;  // groups of tp ranks that have different requests, and the experts together
  bool operator==(const LayoutOptions&) const = default;
};

// All ranks as a grid: rank = index along axis 0 · sizes[1] + index along axis 1.
struct Mesh {
  std::array<int32_t, 2> sizes = {1, 1};

  std::array<int32_t, 2> coordinates(int32_t rank) const {
    return {rank / sizes[1], rank % sizes[1]};
  }
};

// Disjoint groups of ranks; the ranks of a group exchange rows through one comm::Communicator.
struct RankGroups {
  std::vector<std::vector<int32_t>> groups;
  bool operator==(const RankGroups&) const = default;
};

struct Layout {
  // Communicators along the first axis of a mesh, its second, and both; −1: none is needed. With
  // dp > 1 rows get to the experts and back along attention's axes one after the other, so that the
  // experts' mesh needs none.
  using Sums = std::array<int32_t, 3>;

  int32_t world = 1;
  Mesh attention;  // dp × tp: attention, dense MLPs, shared experts
  Mesh moe;        // moe_ep × moe_tp: routed experts
  std::vector<RankGroups> communicators;
  Sums attention_sums = {-1, -1, -1};
  Sums moe_sums = {-1, -1, -1};

  // "2 ranks: attention tp 2; experts ep 1 x tp 2", or "attention dp 2 x tp 1"
  std::string to_string() const;
};

// The layout of these options, world = dp · tp = moe_ep · moe_tp. `usage` with the constraint that
// they violate and the nearest legal layout.
Result<Layout> make_layout(const ModelSizes& model, const LayoutOptions& options);

}  // namespace braid::layout
