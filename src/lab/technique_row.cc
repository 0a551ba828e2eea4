#include "lab/technique_row.h"

#include <algorithm>

namespace braid::lab {

Status check_exactness(std::span<const TechniqueRow> rows) {
  const auto wrong =
      std::find_if(rows.begin(), rows.end(), [](const auto& row) { return !row.exact(); });
  if (wrong == rows.end()) return {};
  return Error(ErrorKind::internal, "a technique changes the results by more than it may")
      .with("technique", wrong->pair.technique)
      .with("compared", wrong->pair.setting)
      .with("error", wrong->error)
      .with("bound", wrong->pair.bitwise ? 0 : wrong->pair.bound);
}

}  // namespace braid::lab
