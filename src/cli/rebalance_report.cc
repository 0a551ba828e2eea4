#include "cli/rebalance_report.h"

#include <fmt/format.h>

#include "base/json.h"

namespace braid::cli {
namespace {

using experts::Phase;
using lab::BeforeAfter;
using lab::Rebalance;

std::string line(std::string_view what, const std::string& rows, const BeforeAfter& values) {
  return fmt::format("{:<22} {:>9} {:>8.4f} {:>8.4f}\n", what, rows, values.before, values.after);
}

}  // namespace

std::string rebalance_text(const Rebalance& result) {
  const experts::PlacementSizes& sizes = result.plan.placement.sizes();
  std::string text = fmt::format("placement of {} experts and {} redundant slots on {} ranks\n",
                                 sizes.experts, sizes.redundant(), sizes.ranks);
  text += fmt::format("{:<22} {:>9} {:>8} {:>8}\n", "balancedness", "rows", "in use", "planned");
  for (const Phase phase : experts::kPhases) {
    const size_t index = index_of(phase);
    if (result.rows[index] == 0) continue;
    text += line(name_of(phase), fmt::format("{}", result.rows[index]), result.phases[index]);
  }
  text += line("both", "", result.both);
  if (result.held_out) {
    text += line("held out, second half", "", result.held_out->with_replicas);
    text += fmt::format("held out, experts rearranged without replicas: {:.4f}\n",
                        result.held_out->rearranged);
  }
  text += fmt::format("{}; layers left as they are: {}\n",
                      result.payback.to_string(result.plan.moved_slots), result.plan.kept_layers);
  text += fmt::format("assumed: {:.0f} GB/s into a rank, {:.0f} TFLOP/s on its experts' rows",
                      lab::kAssumedLinkRate / 1e9, lab::kAssumedFlopRate / 1e12);
  return text;
}

Json rebalance_json(const Rebalance& result) {
  const auto values = [](const BeforeAfter& of) {
    return Json{{"before", of.before}, {"after", of.after}};
  };
  Json json = {{"redundant", result.plan.placement.sizes().redundant()},
               {"moved_slots", result.plan.moved_slots},
               {"kept_layers", result.plan.kept_layers},
               {"both", values(result.both)},
               {"bytes", result.payback.bytes},
               {"move_seconds", result.payback.move_seconds},
               {"saved_seconds_per_step", result.payback.saved_per_step}};
  for (const Phase phase : experts::kPhases) {
    json[std::string(name_of(phase))] = values(result.phases[index_of(phase)]);
  }
  if (result.held_out) {
    json["held_out"] = values(result.held_out->with_replicas);
    json["held_out"]["rearranged"] = result.held_out->rearranged;
  }
  return json;
}

}  // namespace braid::cli
