// What the options say about ranks: the device that they run on, and how long they wait.
#pragma once

#include <chrono>

#include "base/options.h"
#include "engine/backend.h"

namespace braid::cli {

engine::DeviceKind device_of(const ParsedOptions& options);
std::chrono::seconds step_timeout_of(const ParsedOptions& options);
// --dtype, or what auto means on the device.
Result<Format> dtype_of(const ParsedOptions& options);

}  // namespace braid::cli
