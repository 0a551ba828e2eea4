// The table that braid bench techniques prints.
#pragma once

#include <optional>
#include <span>

#include "base/json_fwd.h"
#include "cli/technique_pairs.h"
#include "lab/paired.h"

namespace braid::cli {

struct TechniqueRow {
  TechniquePair pair;    // what `bound` it has here included
  lab::Estimate before;  // seconds
  lab::Estimate after;
  lab::Estimate ratio;                  // before / after
  std::optional<lab::Estimate> again;   // before / itself: what is noise
  std::optional<lab::Estimate> hidden;  // a share
  bool equal = false;                   // bitwise
  double error = 0;                     // relative, of the results against before's

  // NaN is never.
  bool exact() const { return pair.bitwise ? equal && error == 0 : error <= pair.bound; }
};

// In so many columns of a terminal: see base/table.h.
std::string technique_table(std::span<const TechniqueRow> rows, std::span<const LeftOut> left_out,
                            size_t width = 160);
// The values of "techniques" and "left_out".
Json technique_json(std::span<const TechniqueRow> rows);
Json technique_json(std::span<const LeftOut> left_out);
// `internal` with the first technique whose results are further off than they may be.
Status check_exactness(std::span<const TechniqueRow> rows);

}  // namespace braid::cli
