#include "cli/bench.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "base/json.h"

namespace braid::cli {

engine::Request random_request(int64_t vocab_size, int64_t input_len, int64_t output_len,
                               uint64_t seed) {
  std::mt19937_64 random(seed);
  engine::Request request{.max_tokens = static_cast<int32_t>(output_len)};
  for (int64_t i = 0; i < input_len; ++i) {
    request.prompt.push_back(static_cast<int32_t>(random() % static_cast<uint64_t>(vocab_size)));
  }
  return request;
}

Status check_lengths(const ParsedOptions& options, const start::Session& session) {
  const int64_t input = options.integer("input-len");
  const int64_t output = options.integer("output-len");
  if (input + output <= session.context_length()) return {};
  return Error(ErrorKind::usage, "input and output do not fit into the context")
      .with("input-len", input)
      .with("output-len", output)
      .with("context-length", session.context_length())
      .remedy("Lower --input-len or --output-len.");
}

Result<Json> bench_setting(const ParsedOptions& options, start::Session& session) {
  Json setting = {{"model", session.folder()},
                  {"dtype", dtype_name(session.engine().worker().model().options().dtype)},
                  {"load_format", options.text("load-format")},
                  {"input_len", options.integer("input-len")},
                  {"output_len", options.integer("output-len")}};
  TRY(start::add_dispatch_error(setting, session));
  return setting;
}

Spread spread_of(std::vector<double> samples) {
  BRAID_CHECK(!samples.empty(), "(samples)");
  std::sort(samples.begin(), samples.end());
  const auto quantile = [&](double share) {
    const double place = share * static_cast<double>(samples.size() - 1);
    const auto below = static_cast<size_t>(place);
    const size_t above = std::min(below + 1, samples.size() - 1);
    return std::lerp(samples[below], samples[above], place - static_cast<double>(below));
  };
  return {samples.front(), quantile(0.25), quantile(0.5), quantile(0.75), samples.back()};
}

std::string to_text(const Spread& spread) {
  const auto ms = [](double seconds) { return fmt::format("{:.2f}", 1e3 * seconds); };
  return fmt::format("{} ms [{}, {}, {}, {}]", ms(spread.median), ms(spread.min),
                     ms(spread.lower_quartile), ms(spread.upper_quartile), ms(spread.max));
}

Json to_json(const Spread& spread) {
  return {{"min", spread.min},
          {"lower_quartile", spread.lower_quartile},
          {"median", spread.median},
          {"upper_quartile", spread.upper_quartile},
          {"max", spread.max}};
}

}  // namespace braid::cli
