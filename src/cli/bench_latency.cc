// braid bench latency: one batch, again and again.
#include "base/json.h"
#include "cli/bench.h"
#include "cli/commands.h"
#include "cli/interrupt.h"

namespace braid::cli {
Result<Outcome> bench_latency(const Context& context) {
  const ParsedOptions& options = context.options;
  start::Session session = TRY(start::Session::open(context, /*with_tokenizer=*/false));
  TRY(check_lengths(options, session));
  const int64_t batch_size = options.integer("batch-size");
  const int64_t input_len = options.integer("input-len");
  TRY(session.start({.context_length = input_len + options.integer("output-len"),
                     .max_running = batch_size,
                     .prefill_rows = input_len * batch_size,
                     .extended_sampling = wishes_of(options).extends_sampling(),
                     .run_ahead = true}));
  const lab::RequestSizes batch_of = request_sizes(options, batch_size);
  lab::Latencies warm_up;
  TRY(lab::measure_latency(session.engine(), batch_of, warm_up));
  lab::Latencies latencies;
  const InterruptGuard interrupt;
  const int64_t repeats = options.integer("repeats");
  int64_t ran = 0;
  while (ran < repeats && (ran == 0 || !interrupt.interrupted())) {
    TRY(lab::measure_latency(session.engine(), batch_of, latencies));
    context.console.transient(fmt::format("batch {} of {}", ++ran, repeats));
  }
  context.console.transient("");
  const lab::Spread prefill = lab::spread_of(latencies.prefill);
  const bool decodes = !latencies.decode.empty();  // not with --output-len 1
  const lab::Spread decode = decodes ? lab::spread_of(latencies.decode) : lab::Spread{};
  const auto batch = static_cast<double>(batch_size);
  if (options.flag("json")) {
    Json json = TRY(bench_setting(options, session));
    json.update(
        {{"batch_size", batch_size},
         {"repeats", ran},
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
  if (!interrupt.interrupted()) return Outcome::success;
  context.console.report(fmt::format("interrupted after {} of {} batches", ran, repeats));
  return Outcome::interrupted;
}

}  // namespace braid::cli
