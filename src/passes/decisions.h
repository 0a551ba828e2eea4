// Decisions: what passes chose and why, for --explain.
#pragma once

#include <string>
#include <vector>

namespace braid::passes {

struct Decision {
  std::string pass;    // "dual_stream"
  std::string choice;  // "two lanes"
  std::string reason;  // with the numbers that led to it
  int rewrites = 0;    // ops moved, split or replaced
};

using Decisions = std::vector<Decision>;

}  // namespace braid::passes
