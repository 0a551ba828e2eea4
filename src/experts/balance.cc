#include "experts/balance.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/log.h"
#include "experts/layer_planner.h"

namespace braid::experts {
namespace {

// A layer stays as it is unless a new order reduces its busiest rank's load by more than this part.
constexpr double kWorthwhile = 0.01;

// Rows of each replica of an expert.
void divide_heat(std::span<const int32_t> experts_of_slots, std::span<const double> heat,
                 std::vector<double>& loads) {
  std::vector<int32_t> replicas(heat.size());
  for (const int32_t expert : experts_of_slots) ++replicas[static_cast<size_t>(expert)];
  loads.resize(heat.size());
  for (size_t e = 0; e < heat.size(); ++e) loads[e] = heat[e] / std::max(replicas[e], 1);
}

std::vector<double> loads_of(std::span<const int32_t> experts_of_slots, int32_t ranks,
                             std::span<const double> heat) {
  std::vector<double> of_replica;
  divide_heat(experts_of_slots, heat, of_replica);
  std::vector<double> loads(static_cast<size_t>(ranks));
  const size_t per_rank = experts_of_slots.size() / loads.size();
  for (size_t slot = 0; slot < experts_of_slots.size(); ++slot) {
    loads[slot / per_rank] += of_replica[static_cast<size_t>(experts_of_slots[slot])];
  }
  return loads;
}

double busiest(std::span<const int32_t> experts_of_slots, int32_t ranks,
               std::span<const double> heat) {
  const std::vector<double> loads = loads_of(experts_of_slots, ranks, heat);
  return *std::max_element(loads.begin(), loads.end());
}

std::span<const double> heat_of(std::span<const double> heat, int32_t layer, int32_t experts) {
  const auto count = static_cast<size_t>(experts);
  return heat.subspan(static_cast<size_t>(layer) * count, count);
}

// How many of a rank's new slots hold an expert that it does not have now.
int64_t fetched(std::span<const int32_t> now, std::span<const int32_t> then) {
  return std::count_if(then.begin(), then.end(), [&](int32_t expert) {
    return std::find(now.begin(), now.end(), expert) == now.end();
  });
}

Status check_heat(const PlacementSizes& sizes, std::span<const double> heat) {
  const auto expected = static_cast<size_t>(sizes.layers) * static_cast<size_t>(sizes.experts);
  const bool counts = std::all_of(heat.begin(), heat.end(),
                                  [](double count) { return std::isfinite(count) && count >= 0; });
  if (heat.size() == expected && counts) return {};
  return Error(ErrorKind::usage, "the heat is not that of this placement's experts")
      .with("counts", heat.size())
      .with("layers", sizes.layers)
      .with("experts", sizes.experts)
      .with("all finite and not negative", counts);
}

}  // namespace

std::vector<double> rank_loads(const ExpertPlacement& placement, int32_t layer,
                               std::span<const double> heat) {
  return loads_of(placement.slots_of(layer), placement.sizes().ranks, heat);
}

Evenness evenness(const ExpertPlacement& placement, std::span<const double> heat) {
  const PlacementSizes& sizes = placement.sizes();
  Evenness result;
  double sum_of_most = 0;
  const double all = std::accumulate(heat.begin(), heat.end(), 0.0);
  for (int32_t layer = 0; layer < sizes.layers; ++layer) {
    const auto loads = rank_loads(placement, layer, heat_of(heat, layer, sizes.experts));
    const double mean = std::accumulate(loads.begin(), loads.end(), 0.0) / sizes.ranks;
    const double most = *std::max_element(loads.begin(), loads.end());
    sum_of_most += most;
    if (most == 0 || mean / most >= result.worst) continue;
    result.worst = mean / most;
    result.worst_layer = layer;
  }
  if (all == 0) return result;  // no load is even
  result.overall = all / sizes.ranks / sum_of_most;
  result.busiest = sum_of_most / all;
  return result;
}

Result<BalancePlan> plan_balance(const ExpertPlacement& current, int32_t redundant,
                                 std::span<const double> heat) {
  const PlacementSizes& now = current.sizes();
  const PlacementSizes sizes = TRY(make_sizes(now.layers, now.experts, now.ranks, redundant));
  TRY(check_heat(now, heat));
  LayerPlanner planner(sizes);
  std::vector<int32_t> experts;
  experts.reserve(static_cast<size_t>(sizes.layers) * static_cast<size_t>(sizes.slots));
  int32_t kept = 0;
  int64_t moved = 0;
  for (int32_t layer = 0; layer < sizes.layers; ++layer) {
    const auto of_layer = heat_of(heat, layer, sizes.experts);
    const auto slots = current.slots_of(layer);
    std::span<const int32_t> planned = planner.plan(of_layer, slots);
    if (slots.size() == planned.size() &&
        planner.busiest() >= (1 - kWorthwhile) * busiest(slots, sizes.ranks, of_layer)) {
      planned = slots;
      ++kept;
    } else {
      moved += planner.moved();
    }
    experts.insert(experts.end(), planned.begin(), planned.end());
  }
  BalancePlan plan{TRY(ExpertPlacement::create(sizes, std::move(experts)))};
  plan.kept_layers = kept;
  plan.moved_slots = moved;
  return plan;
}

Payback payback(const ExpertPlacement& current, const BalancePlan& plan,
                std::span<const double> heat, const MoveCost& cost) {
  const PlacementSizes& sizes = plan.placement.sizes();
  int64_t most = 0;  // slots that one rank has to fetch
  for (int32_t rank = 0; rank < sizes.ranks; ++rank) {
    int64_t of_rank = 0;
    for (int32_t layer = 0; layer < sizes.layers; ++layer) {
      of_rank += fetched(current.slots_of(layer, rank), plan.placement.slots_of(layer, rank));
    }
    most = std::max(most, of_rank);
  }
  Payback result;
  result.bytes = static_cast<double>(plan.moved_slots) * cost.slot_bytes;
  result.move_seconds = static_cast<double>(most) * cost.slot_bytes / cost.link_rate;
  // `busiest` is a share of this: the choices of all layers in a step.
  const double choices = cost.rows_per_step * sizes.layers;
  result.saved_per_step =
      (evenness(current, heat).busiest - evenness(plan.placement, heat).busiest) * choices *
      cost.seconds_per_row;
  result.steps = result.saved_per_step > 0 ? result.move_seconds / result.saved_per_step
                                           : std::numeric_limits<double>::infinity();
  return result;
}

std::string Payback::to_string(int64_t moved_slots) const {
  const std::string move = fmt::format("{} slots to fill, {} to move in {:.2f} ms", moved_slots,
                                       format_bytes(bytes), move_seconds * 1e3);
  if (!std::isfinite(steps)) return move + "; nothing is saved: it never pays";
  return fmt::format("{}; {:.2f} µs less a step: pays after {:.0f} steps", move,
                     saved_per_step * 1e6, std::ceil(steps));
}

}  // namespace braid::experts
