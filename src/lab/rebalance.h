// A better placement of the experts for the heat that eval balance has seen.
#pragma once

#include <optional>

#include "experts/balance.h"
#include "lab/heat_windows.h"
#include "model/decoder_model.h"

namespace braid::lab {

// Balancedness (mean over max of the ranks' rows) by the placement in use and by a planned one.
struct BeforeAfter {
  double before = 1;
  double after = 1;
};

struct Rebalance {
  experts::BalancePlan plan;               // for the heat of all windows, both phases together
  std::array<int64_t, 2> rows = {};        // of each phase
  std::array<BeforeAfter, 2> phases = {};  // of each phase's own heat
  BeforeAfter both;
  // Planned with the windows of the first half of all rows, judged by the others, with as many
  // redundant slots, and by rearranging alone; absent where there is one window.
  struct HeldOut {
    BeforeAfter with_replicas;
    double rearranged = 1;
  };
  std::optional<HeldOut> held_out;
  experts::Payback payback;
};

// What moves and computes the experts, for the payback: two H100s joined by NVLink, as measured.
inline constexpr double kAssumedLinkRate = 390e9;   // bytes a second
inline constexpr double kAssumedFlopRate = 600e12;  // of a grouped GEMM in prefill

// What it costs to move the model's experts, and a row of them to compute; rows_per_step is open.
experts::MoveCost move_cost(const model::DecoderModel& model);

// Plans with so many redundant slots, from the placement in use. `usage` where there can't be
// so many. cost.rows_per_step is filled in.
Result<Rebalance> rebalance(const HeatRecord& record, const experts::ExpertPlacement& in_use,
                            int32_t redundant, experts::MoveCost cost);

}  // namespace braid::lab
