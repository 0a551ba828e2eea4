// What comparing a technique with what it replaces has found.
#pragma once

#include <optional>
#include <span>

#include "lab/paired.h"
#include "lab/technique_pairs.h"

namespace braid::lab {

struct TechniqueRow {
  TechniquePair pair;  // what `bound` it has here included
  Estimate before;     // seconds
  Estimate after;
  Estimate ratio;                  // before / after
  std::optional<Estimate> again;   // before / itself: what is noise
  std::optional<Estimate> hidden;  // a share
  bool equal = false;              // bitwise
  double error = 0;                // relative, of the results against before's

  // NaN is never.
  bool exact() const { return pair.bitwise ? equal && error == 0 : error <= pair.bound; }
};

// `internal` with the first technique whose results are further off than they may be.
Status check_exactness(std::span<const TechniqueRow> rows);

}  // namespace braid::lab
