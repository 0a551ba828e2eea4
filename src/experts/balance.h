// Spreading the experts' load evenly over ranks. Pure: a function of the heat and of the placement
// that is in use. Heat [L, E]: how many rows each expert of each layer was chosen by, in any unit.
#pragma once

#include <span>
#include <string>

#include "experts/placement.h"

namespace braid::experts {

// Load of every rank in one layer, an expert's rows spread evenly over its replicas. heat [E].
std::vector<double> rank_loads(const ExpertPlacement& placement, int32_t layer,
                               std::span<const double> heat);

// Mean load of a rank over the load of the busiest one: 1 where all are alike. In every step all
// ranks wait for the busiest one of every layer, so that the overall figure is the sum of the means
// of all layers over the sum of the largest.
struct Evenness {
  double overall = 1;
  double worst = 1;  // of the layers
  int32_t worst_layer = 0;
  double busiest = 0;  // sum over the layers of the busiest rank's load, over all ranks' load
};
Evenness evenness(const ExpertPlacement& placement, std::span<const double> heat);

struct BalancePlan {
  ExpertPlacement placement;
  int64_t moved_slots = 0;  // that hold an expert which their rank has to fetch
  int32_t kept_layers = 0;  // which no new order would make better
};

// A placement for this heat with so many redundant slots: replicas for the hottest experts, then
// swaps between ranks, from the current placement on. Where that leaves a layer uneven: the largest
// loads first, each to where it is now as long as that rank has no more than its share, else to the
// least loaded rank, and swaps again. Experts that stay on their rank keep their slots. `usage`
// where the sizes are not legal or the heat has others.
Result<BalancePlan> plan_balance(const ExpertPlacement& current, int32_t redundant,
                                 std::span<const double> heat);

// What a move costs and brings on some device; `plan` and `current` as in plan_balance().
struct MoveCost {
  double slot_bytes = 0;       // weights of an expert on a rank
  double link_rate = 0;        // bytes a second into a rank
  double seconds_per_row = 0;  // that a rank needs for a row of an expert
  double rows_per_step = 0;    // rows · top_k of a step
};
struct Payback {
  double bytes = 0;           // to all ranks
  double move_seconds = 0;    // of the rank that fetches the most
  double saved_per_step = 0;  // seconds, over all layers
  double steps = 0;           // after which the move has paid; infinite where nothing is saved

  // "3 slots, 12.0 MiB to move in 0.1 ms; 2.0 µs less a step: pays after 50 steps"
  std::string to_string(int64_t moved_slots) const;
};
Payback payback(const ExpertPlacement& current, const BalancePlan& plan,
                std::span<const double> heat, const MoveCost& cost);

}  // namespace braid::experts
