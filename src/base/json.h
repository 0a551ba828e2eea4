// JSON reading with errors that name the file and the key. Thin over nlohmann-json, which never
// throws here: parse and lookups return Status.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/json_fwd.h"
#include "base/status.h"

namespace braid {

// Parses `text`; `source` names it in errors. Nesting deeper than 256 levels is refused.
Result<Json> parse_json(std::string_view text, std::string_view source);

// Reads and parses a whole file of at most `max_bytes`.
Result<Json> read_json_file(const std::string& path, int64_t max_bytes = int64_t{256} << 20);

// Reads a whole file into memory: not_found when it does not open, corrupt_data past max_bytes.
Result<std::string> read_file(const std::string& path, int64_t max_bytes = int64_t{1} << 30);

}  // namespace braid
