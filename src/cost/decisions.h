// Decisions: what was chosen for a step and why, for --explain.
#pragma once

#include <string>
#include <vector>

namespace braid::cost {

// What could have been chosen, and what the cost model predicts for it.
struct Alternative {
  std::string choice;  // "two lanes"
  double us = 0;       // of all ops of a step that the choice concerns
};

struct Decision {
  std::string pass;    // "dual_stream"; "dispatch" for what is chosen before any pass
  std::string choice;  // "two lanes"
  std::string reason;
  int rewrites = 0;                       // ops moved, split or replaced
  std::vector<Alternative> alternatives;  // empty where there is no choice, or nothing to predict

  // "; predicted: serial 120.0 µs, two lanes 95.5 µs", or nothing
  std::string predicted() const;
  // The reason and what is predicted.
  std::string why() const { return reason + predicted(); }
};

using Decisions = std::vector<Decision>;

}  // namespace braid::cost
