#include "lab/rebalance.h"

#include <numeric>

namespace braid::lab {
namespace {

using experts::ExpertPlacement;
using experts::Phase;

// [layers, experts], of the windows [first, last) and these phases.
std::vector<double> heat_of(const HeatRecord& record, std::span<const Phase> phases, size_t first,
                            size_t last) {
  std::vector<double> heat(static_cast<size_t>(record.sizes.layers) *
                           static_cast<size_t>(record.sizes.experts));
  for (size_t window = first; window < last; ++window) {
    for (const Phase phase : phases) {
      const std::vector<double> counts = record.windows[window].heat.of(phase);
      for (size_t i = 0; i < heat.size(); ++i) heat[i] += counts[i];
    }
  }
  return heat;
}

// Rows of a step that choose experts, times the experts that each chooses.
double choices_per_step(const HeatRecord& record, std::span<const double> heat) {
  const int64_t steps = record.windows.back().last_step - record.windows.front().first_step + 1;
  return std::accumulate(heat.begin(), heat.end(), 0.0) / record.sizes.layers /
         static_cast<double>(steps);
}

BeforeAfter compare(const ExpertPlacement& before, const ExpertPlacement& after,
                    std::span<const double> heat) {
  return {experts::evenness(before, heat).overall, experts::evenness(after, heat).overall};
}

// How many windows, not all, have about half of the rows.
size_t first_half(const HeatRecord& record) {
  const HeatRecord::Window all = record.all();
  const int64_t half = (all.rows[0] + all.rows[1] + 1) / 2;
  size_t windows = 0;
  for (int64_t rows = 0; rows < half && windows + 1 < record.windows.size(); ++windows) {
    rows += record.windows[windows].rows[0] + record.windows[windows].rows[1];
  }
  return windows;
}

Result<Rebalance::HeldOut> hold_out(const HeatRecord& record, const ExpertPlacement& in_use,
                                    int32_t redundant) {
  const size_t half = first_half(record);
  const auto seen = heat_of(record, experts::kPhases, 0, half);
  const auto later = heat_of(record, experts::kPhases, half, record.windows.size());
  const experts::PlacementSizes& now = in_use.sizes();
  const ExpertPlacement plain =
      ExpertPlacement::standard(TRY(experts::make_sizes(now.layers, now.experts, now.ranks, 0)));
  const auto rearranged = TRY(experts::plan_balance(plain, 0, seen));
  const auto planned = TRY(experts::plan_balance(in_use, redundant, seen));
  return Rebalance::HeldOut{.with_replicas = compare(in_use, planned.placement, later),
                            .rearranged = experts::evenness(rearranged.placement, later).overall};
}

}  // namespace

experts::MoveCost move_cost(const model::DecoderModel& model) {
  const model::ModelConfig& config = model.config();
  const int64_t width = model.shards().expert_width(config.moe->expert_width).padded;
  const auto weights = static_cast<double>(3 * width * config.hidden_size);
  return {.slot_bytes = weights * static_cast<double>(bytes_of(model.options().dtype)),
          .link_rate = kAssumedLinkRate,
          .seconds_per_row = 2 * weights / kAssumedFlopRate};
}

Result<Rebalance> rebalance(const HeatRecord& record, const ExpertPlacement& in_use,
                            int32_t redundant, experts::MoveCost cost) {
  const size_t windows = record.windows.size();
  const auto all = heat_of(record, experts::kPhases, 0, windows);
  experts::BalancePlan plan = TRY(experts::plan_balance(in_use, redundant, all));
  Rebalance result{.plan = std::move(plan)};
  const ExpertPlacement& planned = result.plan.placement;
  result.both = compare(in_use, planned, all);
  for (const Phase phase : experts::kPhases) {
    const size_t index = index_of(phase);
    for (const HeatRecord::Window& window : record.windows) {
      result.rows[index] += window.rows[index];
    }
    result.phases[index] = compare(in_use, planned, heat_of(record, {&phase, 1}, 0, windows));
  }
  if (windows > 1) result.held_out = TRY(hold_out(record, in_use, redundant));
  cost.rows_per_step = choices_per_step(record, all);
  result.payback = experts::payback(in_use, result.plan, all, cost);
  return result;
}

}  // namespace braid::lab
