// Spreads the experts' load evenly over ranks. Pure: a function of the heat and of the placement
// that is in use. Heat [L, E] says how many rows chose each expert of each layer, in any unit.
#pragma once

#include <span>
#include <string>

#include "experts/placement.h"

namespace braid::experts {

// Load of every rank in one layer, if an expert's rows spread evenly over its replicas. heat [E].
std::vector<double> rank_loads(const ExpertPlacement& placement, int32_t layer,
                               std::span<const double> heat);

// The mean load of a rank over the load of the busiest one: 1 where all have the same. In every
// layer of a step all ranks wait for the busiest one. The overall figure is therefore the sum of
// the mean loads of all layers over the sum of the largest loads.
struct Evenness {
  double overall = 1;
  double worst = 1;  // of a layer
  int32_t worst_layer = 0;
  double busiest = 0;  // the busiest ranks' loads of all layers, as a share of all ranks' loads
};
Evenness evenness(const ExpertPlacement& placement, std::span<const double> heat);

struct BalancePlan {
  ExpertPlacement placement;
  int64_t moved_slots = 0;  // slots whose expert the rank has to fetch
  int32_t kept_layers = 0;  // layers that no new order would improve
};

// Plans a placement for this heat with so many redundant slots.
// 1. The hottest experts get the replicas.
// 2. Starting from the current placement, ranks swap experts while that makes loads more even.
// 3. Where a layer is still uneven, its experts are placed anew, the largest load first: an expert
//    stays on its rank while that rank has no more than its share, and otherwise goes to the least
//    loaded rank. Then ranks swap again.
// Experts that stay on their rank keep their slots. `usage` where the sizes are not legal, or the
// heat is of other sizes.
Result<BalancePlan> plan_balance(const ExpertPlacement& current, int32_t redundant,
                                 std::span<const double> heat);

// What moving experts costs on a device, and what a row of an expert takes there.
struct MoveCost {
  double slot_bytes = 0;       // weights of an expert on a rank
  double link_rate = 0;        // bytes a second into a rank
  double seconds_per_row = 0;  // of a rank, for a row of an expert
  double rows_per_step = 0;    // rows · top_k of a step
};
struct Payback {
  double bytes = 0;           // to all ranks
  double move_seconds = 0;    // of the rank that fetches the most
  double saved_per_step = 0;  // seconds, over all layers
  double steps = 0;           // until the move has paid; infinite where nothing is saved

  // "3 slots, 12.0 MiB to move in 0.1 ms; 2.0 µs less a step: pays after 50 steps"
  std::string to_string(int64_t moved_slots) const;
};
// `current` and `plan` as in plan_balance().
Payback payback(const ExpertPlacement& current, const BalancePlan& plan,
                std::span<const double> heat, const MoveCost& cost);

}  // namespace braid::experts
