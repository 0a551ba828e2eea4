// braid bench layer, in parts: what the options ask for, and how results are told.
#pragma once

#include "base/json_fwd.h"
#include "cli/commands.h"
#include "lab/layer_benchmark.h"

namespace braid::cli {

Result<lab::LayerSetting> read_layer_setting(const Context& context);

// "1, 8,128": positive numbers.
Result<std::vector<int32_t>> parse_counts(std::string_view option, std::string_view text);

// The table of one step's timings, as text and as JSON.
std::string layer_table(const std::vector<lab::LayerTiming>& timings, size_t width);
Json layer_json(const std::vector<lab::LayerTiming>& timings);

}  // namespace braid::cli
