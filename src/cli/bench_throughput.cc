// braid bench throughput: many requests at once, all there from the start.
#include <algorithm>

#include "base/json.h"
#include "cli/bench.h"
#include "cli/commands.h"
#include "cli/interrupt.h"

namespace braid::cli {
namespace {

std::string box(const lab::Throughput& result) {
  constexpr int kColumns = 50;
  const int64_t total = result.input_tokens + result.output_tokens;
  std::string text = fmt::format("{:=^{}}\n", " Offline Throughput Benchmark Result ", kColumns);
  const auto count = [&](std::string_view what, int64_t value) {
    text += fmt::format("{:<40}{:<10}\n", what, value);
  };
  const auto rate = [&](std::string_view what, double value) {
    text += fmt::format("{:<40}{:<10.2f}\n", what, value);
  };
  count("Successful requests:", result.requests);
  rate("Benchmark duration (s):", result.seconds);
  count("Total input tokens:", result.input_tokens);
  count("Total output tokens:", result.output_tokens);
  count("Total tokens:", total);
  rate("Request throughput (req/s):", result.rate(result.requests));
  rate("Input token throughput (tok/s):", result.rate(result.input_tokens));
  rate("Output token throughput (tok/s):", result.rate(result.output_tokens));
  rate("Total token throughput (tok/s):", result.rate(total));
  return text + std::string(kColumns, '=');
}

Json to_json(const lab::Throughput& result) {
  const int64_t total = result.input_tokens + result.output_tokens;
  return {{"successful_requests", result.requests},
          {"duration_seconds", result.seconds},
          {"total_input_tokens", result.input_tokens},
          {"total_output_tokens", result.output_tokens},
          {"total_tokens", total},
          {"requests_per_second", result.rate(result.requests)},
          {"input_tokens_per_second", result.rate(result.input_tokens)},
          {"output_tokens_per_second", result.rate(result.output_tokens)},
          {"total_tokens_per_second", result.rate(total)}};
}

}  // namespace

Result<Outcome> bench_throughput(const Context& context) {
  const ParsedOptions& options = context.options;
  start::Session session = TRY(start::Session::open(context, /*with_tokenizer=*/false));
  TRY(check_lengths(options, session));
  const int64_t num_prompts = options.integer("num-prompts");
  const int64_t input_len = options.integer("input-len");
  TRY(session.start({.context_length = input_len + options.integer("output-len"),
                     .max_running = std::min(options.integer("max-running-requests"), num_prompts),
                     .prefill_rows = input_len * num_prompts,
                     .extended_sampling = wishes_of(options).extends_sampling(),
                     .run_ahead = true}));
  const InterruptGuard interrupt;
  Clock::time_point next_shown;
  const auto goes_on = [&](const lab::Throughput& so_far) {
    if (Clock::now() >= next_shown) {
      next_shown = Clock::now() + std::chrono::milliseconds(100);
      context.console.transient(fmt::format("{} of {} requests, {} tokens, {:.0f} tokens/s",
                                            so_far.requests, num_prompts, so_far.output_tokens,
                                            so_far.rate(so_far.output_tokens)));
    }
    return !interrupt.interrupted();
  };
  const lab::Throughput result =
      TRY(lab::measure_throughput(session.engine(), request_sizes(options, num_prompts), goes_on));
  context.console.transient("");
  if (options.flag("json")) {
    Json json = to_json(result);
    json.update(TRY(bench_setting(options, session)));
    TRY(context.streams.out.json_line(json));
  } else {
    TRY(context.streams.out.line(box(result)));
  }
  TRY(session.finish());
  if (!interrupt.interrupted()) return Outcome::success;
  context.console.line(
      fmt::format("interrupted: {} of {} requests had ended", result.requests, num_prompts));
  return Outcome::interrupted;
}

}  // namespace braid::cli
