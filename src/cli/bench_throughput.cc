// braid bench throughput: many requests at once, all there from the start.
#include <set>

#include "base/json.h"
#include "cli/bench.h"
#include "cli/commands.h"
#include "cli/interrupt.h"

namespace braid::cli {
namespace {

struct Throughput {
  int64_t requests = 0;
  int64_t input_tokens = 0;
  int64_t output_tokens = 0;
  double seconds = 0;

  double rate(int64_t count) const { return static_cast<double>(count) / seconds; }
};

// Says ten times a second how far it is. Ctrl-C ends it early.
Result<Throughput> measure(engine::Engine& engine, const ParsedOptions& options, Console& console,
                           const InterruptGuard& interrupt) {
  const int64_t count = options.integer("num-prompts");
  const int64_t input_len = options.integer("input-len");
  std::vector<engine::Request> requests;
  for (int64_t i = 0; i < count; ++i) {
    const auto seed = static_cast<uint64_t>(options.integer("seed") + i);
    requests.push_back(benchmark_request(engine, options, seed));
  }
  Throughput result;
  const auto start = Clock::now();
  for (engine::Request& request : requests) TRY(engine.submit(std::move(request)));
  auto next_shown = start;
  while (!engine.idle() && !interrupt.interrupted()) {
    for (const engine::TokenEvent& event : TRY(engine.step())) {
      ++result.output_tokens;
      if (event.finished) ++result.requests;
    }
    const auto now = Clock::now();
    if (now < next_shown) continue;
    next_shown = now + std::chrono::milliseconds(100);
    const double seconds = std::chrono::duration<double>(now - start).count();
    console.transient(fmt::format("{} of {} requests, {} tokens, {:.0f} tokens/s", result.requests,
                                  count, result.output_tokens,
                                  static_cast<double>(result.output_tokens) / seconds));
  }
  result.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  result.input_tokens = result.requests * input_len;
  return result;
}

std::string box(const Throughput& result) {
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

Json to_json(const Throughput& result) {
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
                     .extended_sampling = extends_sampling(options),
                     .run_ahead = true}));
  const InterruptGuard interrupt;
  const Throughput result =
      TRY(measure(session.engine(), options, context.streams.console, interrupt));
  context.streams.console.transient("");
  if (options.flag("json")) {
    Json json = to_json(result);
    json.update(TRY(bench_setting(options, session)));
    TRY(context.streams.out.json_line(json));
  } else {
    TRY(context.streams.out.line(box(result)));
  }
  TRY(session.finish());
  if (!interrupt.interrupted()) return Outcome::success;
  context.streams.console.report(
      fmt::format("interrupted: of the requests that had ended by then, {} of {}", result.requests,
                  num_prompts));
  return Outcome::interrupted;
}

}  // namespace braid::cli
