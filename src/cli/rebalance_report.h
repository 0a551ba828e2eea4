// What eval balance says about a better placement.
#pragma once

#include <string>

#include "base/json_fwd.h"
#include "lab/rebalance.h"

namespace braid::cli {

std::string rebalance_text(const lab::Rebalance& result);
Json rebalance_json(const lab::Rebalance& result);

}  // namespace braid::cli
