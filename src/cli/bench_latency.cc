// braid bench latency: one batch, again and again.
#include "base/json.h"
#include "cli/bench.h"
#include "cli/commands.h"

namespace braid::cli {
namespace {

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

struct Latencies {
  std::vector<double> prefill;  // seconds until the last request has its first token, one a run
  std::vector<double> decode;   // seconds of each later step: one token of every request
};

// One batch from its submission to its end.
Status run_batch(engine::Engine& engine, const ParsedOptions& options, Latencies& latencies) {
  const int64_t batch_size = options.integer("batch-size");
  const auto start = Clock::now();
  for (int64_t i = 0; i < batch_size; ++i) {
    const auto seed = static_cast<uint64_t>(options.integer("seed") + i);
    TRY(engine.submit(random_request(engine.config().vocab_size, options.integer("input-len"),
                                     options.integer("output-len"), seed)));
  }
  std::vector<bool> started(static_cast<size_t>(batch_size));
  std::optional<engine::RequestId> first_id;
  int64_t waiting = batch_size;
  while (!engine.idle()) {
    const auto step = Clock::now();
    const bool decoding = waiting == 0;
    for (const engine::TokenEvent& event : TRY(engine.step())) {
      if (!first_id) first_id = event.request;
      auto has_started = started.begin() + (event.request - *first_id);
      if (!*has_started) --waiting;
      *has_started = true;
    }
    if (decoding) latencies.decode.push_back(seconds_since(step));
    if (!decoding && waiting == 0) latencies.prefill.push_back(seconds_since(start));
  }
  return {};
}

}  // namespace

Result<Outcome> bench_latency(const Context& context) {
  const ParsedOptions& options = context.options;
  start::Session session = TRY(start::Session::open(context, /*with_tokenizer=*/false));
  TRY(check_lengths(options, session));
  const int64_t batch_size = options.integer("batch-size");
  const int64_t input_len = options.integer("input-len");
  TRY(session.start({.context_length = input_len + options.integer("output-len"),
                     .max_running = batch_size,
                     .prefill_rows = input_len * batch_size,
                     .run_ahead = true}));
  Latencies warm_up;
  TRY(run_batch(session.engine(), options, warm_up));
  Latencies latencies;
  for (int64_t i = 0; i < options.integer("repeats"); ++i) {
    TRY(run_batch(session.engine(), options, latencies));
  }
  const Spread prefill = spread_of(latencies.prefill);
  const bool decodes = !latencies.decode.empty();  // not with --output-len 1
  const Spread decode = decodes ? spread_of(latencies.decode) : Spread{};
  const auto batch = static_cast<double>(batch_size);
  if (options.flag("json")) {
    Json json = TRY(bench_setting(options, session));
    json.update(
        {{"batch_size", batch_size},
         {"repeats", options.integer("repeats")},
         {"prefill_seconds", to_json(prefill)},
         {"decode_seconds_per_token", decodes ? to_json(decode) : Json()},
         {"prefill_tokens_per_second", batch * static_cast<double>(input_len) / prefill.median},
         {"decode_tokens_per_second", decodes ? Json(batch / decode.median) : Json()}});
    TRY(context.streams.out.json_line(json));
  } else {
    TRY(context.streams.out.line("median [minimum, quartiles, maximum]"));
    TRY(context.streams.out.line(
        fmt::format("prefill of {} x {} tokens: {}, {:.1f} tokens/s", batch_size, input_len,
                    to_text(prefill), batch * static_cast<double>(input_len) / prefill.median)));
    if (decodes) {
      TRY(context.streams.out.line(
          fmt::format("decode, a token of each request: {}, {:.1f} tokens/s", to_text(decode),
                      batch / decode.median)));
    }
  }
  TRY(session.finish());
  return Outcome::success;
}

}  // namespace braid::cli
