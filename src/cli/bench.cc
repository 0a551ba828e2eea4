#include "cli/bench.h"

#include "base/json.h"
#include "cli/generation_options.h"

namespace braid::cli {

engine::Request wishes_of(const ParsedOptions& options) {
  engine::Request request;
  set_penalties(options, {}, request.sampling);
  request.logprobs = wanted_logprobs(options);
  return request;
}

lab::RequestSizes request_sizes(const ParsedOptions& options, int64_t count) {
  return {.count = count,
          .input_len = options.integer("input-len"),
          .output_len = options.integer("output-len"),
          .seed = static_cast<uint64_t>(options.integer("seed")),
          .like = wishes_of(options)};
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

std::string to_text(const lab::Spread& spread) {
  const auto ms = [](double seconds) { return fmt::format("{:.2f}", 1e3 * seconds); };
  return fmt::format("{} ms [{}, {}, {}, {}]", ms(spread.median), ms(spread.min),
                     ms(spread.lower_quartile), ms(spread.upper_quartile), ms(spread.max));
}

Json to_json(const lab::Spread& spread) {
  return {{"min", spread.min},
          {"lower_quartile", spread.lower_quartile},
          {"median", spread.median},
          {"upper_quartile", spread.upper_quartile},
          {"max", spread.max}};
}

}  // namespace braid::cli
