// What the benchmarks share: made-up requests and summaries of samples.
#pragma once

#include <string>
#include <vector>

#include "base/json_fwd.h"
#include "start/session.h"

namespace braid::cli {

// A request of `input_len` random ids that generates exactly `output_len` tokens.
engine::Request random_request(int64_t vocab_size, int64_t input_len, int64_t output_len,
                               uint64_t seed);

// `usage` when --input-len and --output-len do not fit into the session's context.
Status check_lengths(const ParsedOptions& options, const start::Session& session);

// What was measured on: model, dtype, load format and lengths.
Result<Json> bench_setting(const ParsedOptions& options, start::Session& session);

struct Spread {
  double min = 0;
  double lower_quartile = 0;
  double median = 0;
  double upper_quartile = 0;
  double max = 0;
};

// Quantiles with linear interpolation between samples; of at least one sample.
Spread spread_of(std::vector<double> samples);
// "12.10 ms [11.90, 12.00, 12.31, 13.04]": the median, and minimum, quartiles, maximum.
std::string to_text(const Spread& spread);
Json to_json(const Spread& spread);

}  // namespace braid::cli
