// What the offline benchmarks share.
#pragma once

#include <string>

#include "base/json_fwd.h"
#include "lab/engine_runs.h"
#include "lab/spread.h"
#include "start/session.h"

namespace braid::cli {

// The penalties and log probabilities that the options ask for.
engine::Request wishes_of(const ParsedOptions& options);

// `count` such requests as long as --input-len and --output-len say.
lab::RequestSizes request_sizes(const ParsedOptions& options, int64_t count);

// `usage` when --input-len and --output-len do not fit into the session's context.
Status check_lengths(const ParsedOptions& options, const start::Session& session);

// What was measured on: model, dtype, load format and lengths.
Result<Json> bench_setting(const ParsedOptions& options, start::Session& session);

// "12.10 ms [11.90, 12.00, 12.31, 13.04]": the median, and minimum, quartiles, maximum.
std::string to_text(const lab::Spread& spread);
Json to_json(const lab::Spread& spread);

}  // namespace braid::cli
