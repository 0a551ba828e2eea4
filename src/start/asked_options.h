// What the options of a command ask of an engine, whatever the command needs.
#pragma once

#include "base/link_speed.h"
#include "base/options.h"
#include "cost/device_profile.h"
#include "start/engine_options.h"

namespace braid::start {

Result<EngineOptions> asked_options(const ParsedOptions& options);

// The configuration of the model in --model, with the keys of --json-model-override-args.
Result<model::ModelConfig> asked_model(const ParsedOptions& options);

// What predictions are made from: --tuning, or else `standard`, with an emulated link's speed.
Result<cost::DeviceProfile> profile_of(const ParsedOptions& options, cost::DeviceProfile standard,
                                       const std::optional<LinkSpeed>& link);

// The part of --routing behind "zipf:", which the options table has checked.
double zipf_exponent(const std::string& routing);

}  // namespace braid::start
