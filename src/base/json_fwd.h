// The name Json alone, for headers that only mention it: base/json.h takes long to compile.
#pragma once

#include <nlohmann/json_fwd.hpp>

namespace braid {

using Json = nlohmann::json;

}  // namespace braid
