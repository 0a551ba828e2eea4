// braid eval perplexity: how well a model predicts a text.
#include <algorithm>
#include <cmath>

#include "base/json.h"
#include "cli/commands.h"
#include "lab/evaluate.h"
#include "ranks/log_likelihood.h"
#include "start/session.h"

namespace braid::cli {
namespace {

// The text's ids, with as many to predict as --max-tokens says, or all.
Result<std::vector<int32_t>> read_text(const ParsedOptions& options,
                                       const text::Tokenizer& tokenizer) {
  const std::string& path = options.text("text");
  std::vector<int32_t> ids =
      TRY(tokenizer.encode(TRY(read_file(path)), /*add_special_tokens=*/false));
  if (ids.size() < 2) {
    return Error(ErrorKind::usage, "the text is too short: nothing in it follows anything")
        .with("--text", path)
        .with("tokens", ids.size());
  }
  if (options.has("max-tokens")) {
    const auto inputs_and_last = static_cast<size_t>(options.integer("max-tokens")) + 1;
    ids.resize(std::min(ids.size(), inputs_and_last));
  }
  return ids;
}

}  // namespace

Result<Outcome> eval_perplexity(const Context& context) {
  const ParsedOptions& options = context.options;
  start::Session session = TRY(start::Session::open(context, /*with_tokenizer=*/true));
  const std::vector<int32_t> ids = TRY(read_text(options, session.tokenizer()));
  const int64_t window = options.integer("window");
  if (window > session.context_length()) {
    return Error(ErrorKind::usage, "the window is longer than the context")
        .with("window", window)
        .with("context-length", session.context_length())
        .remedy("Lower --window.");
  }
  TRY(session.start(
      {.context_length = window, .prefill_rows = window, .probes = {.all_logits = true}}));

  Stage stage("scoring", context.streams.console);
  int64_t scored = 0;
  const lab::Likelihood likelihood =
      TRY(lab::evaluate_likelihood(session.engine(), ids, window, [&](int64_t tokens) {
        scored += tokens;
        context.streams.console.transient(
            fmt::format("scoring: {} of {} tokens", scored, ids.size() - 1));
      }));
  stage.done(fmt::format("{} tokens", likelihood.tokens));
  TRY(session.finish());
  if (!std::isfinite(likelihood.total_nll)) {
    return ranks::logits_not_finite().with("mean_nll", likelihood.mean_nll());
  }
  if (options.flag("json")) {
    Json json = {{"tokens", likelihood.tokens},
                 {"mean_nll", likelihood.mean_nll()},
                 {"perplexity", likelihood.perplexity()}};
    TRY(start::add_dispatch_error(json, session));
    TRY(context.streams.out.json_line(json));
  } else {
    TRY(context.streams.out.line(fmt::format("perplexity {:.4f}, mean nll {:.6f}, {} tokens",
                                             likelihood.perplexity(), likelihood.mean_nll(),
                                             likelihood.tokens)));
  }
  return Outcome::success;
}

}  // namespace braid::cli
