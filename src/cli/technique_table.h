// The table that braid bench techniques prints.
#pragma once

#include <optional>
#include <span>

#include "base/json_fwd.h"
#include "lab/paired.h"
#include "lab/technique_row.h"

namespace braid::cli {

// In so many columns of a terminal: see base/table.h.
std::string technique_table(std::span<const lab::TechniqueRow> rows,
                            std::span<const lab::LeftOut> left_out, size_t width = 160);
// The values of "techniques" and "left_out".
Json technique_json(std::span<const lab::TechniqueRow> rows);
Json technique_json(std::span<const lab::LeftOut> left_out);

}  // namespace braid::cli
