// braid generate: continues a prompt.
#include <iterator>

#include "base/json.h"
#include "cli/commands.h"
#include "cli/generation_options.h"
#include "engine/chat.h"
#include "start/session.h"

namespace braid::cli {
namespace {

constexpr int64_t kMostTokens = 256;  // of an answer, when --max-tokens is not given
constexpr int64_t kMaxPromptBytes = int64_t{256} << 20;

Result<std::string> read_prompt(const Context& context) {
  const ParsedOptions& options = context.options;
  const bool direct = options.has("prompt");
  if (direct && options.has("prompt-file")) {
    return Error(ErrorKind::usage, "--prompt and --prompt-file are both given")
        .remedy("Leave one of them out.");
  }
  if (direct) return options.text("prompt");
  if (options.has("prompt-file")) return read_file(options.text("prompt-file"), kMaxPromptBytes);
  if (context.streams.in_is_terminal) {
    context.streams.console.line("type the prompt; Ctrl-D ends it");
  }
  return std::string(std::istreambuf_iterator<char>(context.streams.in), {});
}

}  // namespace

Result<Outcome> generate(const Context& context) {
  const auto start = Clock::now();
  const ParsedOptions& options = context.options;
  if (options.has("logprobs") && !options.flag("json")) {
    return Error(ErrorKind::usage, "log probabilities are printed as JSON only")
        .with("logprobs", options.integer("logprobs"))
        .remedy("Add --json.");
  }
  start::Session session = TRY(start::Session::open(context, /*with_tokenizer=*/true));
  // A prompt may be a conversation that is written out; many models have no template, though.
  if (const auto format = engine::ChatFormat::load(session.folder()); format.ok()) {
    session.add_stop(format->end_token(session.tokenizer()));
  }
  // One statement each: an early return would leave members of a half-built struct undestroyed.
  engine::TextRequest request;
  request.prompt = TRY(session.tokenizer().encode(TRY(read_prompt(context)), true));
  TRY(check_recommended(options, session.config().sampling));
  request.sampling = sampling_params(options, session.config().sampling);
  request.sampling.logit_bias = TRY(logit_biases(options));
  request.logprobs = wanted_logprobs(options);
  request.stops = TRY(stop_texts(options));
  const auto prompt_tokens = static_cast<int64_t>(request.prompt.size());
  if (prompt_tokens == 0) {
    return Error(ErrorKind::usage, "the prompt is empty")
        .remedy("Give one with --prompt, --prompt-file or standard input.");
  }
  request.max_tokens =
      TRY(answer_tokens(options, prompt_tokens, session.context_length(), kMostTokens));
  TRY(session.start(
      {.context_length = prompt_tokens + request.max_tokens,
       .prefill_rows = prompt_tokens,
       .extended_sampling = request.sampling.adjusts_logits() || request.logprobs >= 0,
       .run_ahead = true}));
  context.streams.console.line(ready(session, Clock::now() - start));

  const InterruptGuard interrupt;
  const bool json = options.flag("json");
  const engine::TextResult result = TRY(stream_text(session.engine(), session.tokenizer(), request,
                                                    json, interrupt, context.streams.out));
  if (json) TRY(context.streams.out.json_line(to_json(result)));
  TRY(session.finish());
  context.streams.console.line(summary(result));
  return interrupt.interrupted() ? Outcome::interrupted : Outcome::success;
}

}  // namespace braid::cli
