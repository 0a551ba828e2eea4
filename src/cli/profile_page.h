// The page of a profile: one HTML file without anything from elsewhere.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/json_fwd.h"
#include "cost/decisions.h"
#include "lab/profile_report.h"

namespace braid::cli {

// What the page says about the run beside its times.
struct PageFacts {
  std::string model;
  std::vector<std::pair<std::string, std::string>> facts;  // {"layout", "2 ranks: …"}, …
  std::vector<cost::Decisions> decisions;                  // of each phase
};

// All that the page draws. Times are nanoseconds since the first start:
//   phases[p].steps[s] = [step, from, to]; phases[p] also has what to_json() gives
//   ranks[r].ops[i]    = [kind, scope, module, operands, FLOP, bytes, link bytes, awaited ops];
//                        the first four are indices into `strings`
//   ranks[r].events[i] = [phase, step, op, lane, start, duration]
//   ranks[r].exposed   = [start, end, start, end, …] of communication that nothing hides
//   meetings[i]        = [last rank, rank, event, rank, event, …]
Json page_data(const lab::Profile& profile, const std::vector<lab::PhaseReport>& phases,
               const PageFacts& facts);

// The page with these data in it.
std::string make_page(const Json& data);

}  // namespace braid::cli
