// ExpertPlacement: which expert lies in which slot of which rank. Pure, and the same on every rank.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/json_fwd.h"
#include "base/status.h"

namespace braid::experts {

// The sizes of a placement. Slots are counted over all ranks: rank r has the slots
// [r · slots / ranks, (r + 1) · slots / ranks) of every layer.
struct PlacementSizes {
  int32_t layers = 0;   // layers with experts
  int32_t experts = 0;  // of a layer
  int32_t ranks = 1;    // ranks with different experts: moe_ep
  int32_t slots = 0;    // of a layer; those beyond one an expert are redundant and hold replicas

  int32_t slots_of_rank() const { return slots / ranks; }
  int32_t redundant() const { return slots - experts; }
  bool operator==(const PlacementSizes&) const = default;
};

// Sizes with so many redundant slots. `usage`, with the nearest legal number, where ranks would
// have different numbers of slots, or more slots than there are experts: a rank holds no expert
// twice.
Result<PlacementSizes> make_sizes(int32_t layers, int32_t experts, int32_t ranks,
                                  int32_t redundant);

class ExpertPlacement {
 public:
  // experts_of_slots [layers, slots]. `corrupt_data` where an expert has no slot, a rank holds one
  // twice, or a number is out of its range.
  static Result<ExpertPlacement> create(const PlacementSizes& sizes,
                                        std::vector<int32_t> experts_of_slots);
  // Slot s holds expert s mod experts, in every layer: without redundant slots slot and expert are
  // the same. `sizes` as make_sizes() gives them.
  static ExpertPlacement standard(const PlacementSizes& sizes);

  // {"format": "braid.expert_placement.v1", "layers": L, "experts": E, "ranks": N,
  //  "slots": [[expert of slot 0, …], …a row a layer]}
  static Result<ExpertPlacement> parse(const Json& json);
  static Result<ExpertPlacement> load(const std::string& path);
  Status save(const std::string& path) const;

  const PlacementSizes& sizes() const { return sizes_; }
  int32_t expert_of(int32_t layer, int32_t slot) const {
    return experts_[static_cast<size_t>(layer) * static_cast<size_t>(sizes_.slots) +
                    static_cast<size_t>(slot)];
  }
  std::span<const int32_t> slots_of(int32_t layer) const;                // [slots]
  std::span<const int32_t> slots_of(int32_t layer, int32_t rank) const;  // [slots of a rank]

  // The largest number of replicas of any expert of any layer.
  int32_t most_replicas() const { return most_replicas_; }
  // The slots of every expert of a layer, ascending, filled up with −1: [experts, most_replicas()].
  std::vector<int32_t> table(int32_t layer) const;

  bool operator==(const ExpertPlacement&) const = default;

 private:
  ExpertPlacement(const PlacementSizes& sizes, std::vector<int32_t> experts_of_slots);
  Status check() const;

  PlacementSizes sizes_;
  std::vector<int32_t> experts_;  // [layers, slots]
  int32_t most_replicas_ = 0;
};

}  // namespace braid::experts
