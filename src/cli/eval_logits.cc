// braid eval logits: writes the logits of given token ids.
#include "base/json.h"
#include "cli/commands.h"
#include "lab/evaluate.h"
#include "ranks/log_likelihood.h"
#include "start/session.h"

namespace braid::cli {
namespace {

Result<std::vector<int32_t>> read_ids(const std::string& path, int64_t vocab_size) {
  const Json json = TRY(read_json_file(path));
  const auto bad = [&](std::string message) {
    return Error(ErrorKind::usage, std::move(message)).with("--input-ids", path);
  };
  if (!json.is_array() || json.empty()) {
    return bad("the file holds no JSON array of token ids").remedy("Write it like [5, 17, 3].");
  }
  std::vector<int32_t> ids;
  for (const Json& item : json) {
    const bool is_id = item.is_number_integer() && item >= 0 && item < vocab_size;
    if (!is_id) {
      return bad("an item is no token id of the model")
          .with("index", ids.size())
          .with("item", item.dump(-1, ' ', false, Json::error_handler_t::replace))
          .with("vocab_size", vocab_size);
    }
    ids.push_back(item.get<int32_t>());
  }
  return ids;
}

}  // namespace

Result<Outcome> eval_logits(const Context& context) {
  const ParsedOptions& options = context.options;
  start::Session session = TRY(start::Session::open(context, /*with_tokenizer=*/false));
  const model::ModelConfig& config = session.config();
  const std::vector<int32_t> ids = TRY(read_ids(options.text("input-ids"), config.vocab_size));
  const auto num_tokens = static_cast<int64_t>(ids.size());
  if (num_tokens > session.context_length()) {
    return Error(ErrorKind::usage, "the token ids do not fit into the context")
        .with("tokens", num_tokens)
        .with("context-length", session.context_length())
        .remedy("Give fewer token ids.");
  }
  std::optional<lab::ForcedRouting> forced;
  if (options.has("force-routing")) {
    forced = TRY(lab::read_forced_routing(options.text("force-routing"), config, num_tokens));
  }
  const model::Probes probes{.all_logits = true,
                             .routing = options.flag("with-routing"),
                             .force_routing = forced.has_value()};
  TRY(session.start({.context_length = num_tokens, .prefill_rows = num_tokens, .probes = probes}));

  Stage stage("evaluating", context.streams.console);
  const lab::Logits logits =
      TRY(lab::evaluate_logits(session.engine(), ids, forced ? &*forced : nullptr));
  stage.done(fmt::format("{} tokens", num_tokens));
  if (const int64_t token = lab::first_not_finite(logits); token >= 0) {
    return ranks::logits_not_finite().with("position", token);
  }
  const std::string& output = options.text("output");
  TRY(lab::write_logits(output, logits));
  if (options.flag("json")) {
    TRY(context.streams.out.json_line({{"tokens", logits.num_tokens},
                                       {"vocab_size", logits.vocab_size},
                                       {"layers_with_routing", logits.routing.size()},
                                       {"output", output}}));
  } else {
    TRY(context.streams.out.line(fmt::format("logits [{}, {}] f32 written to {}", logits.num_tokens,
                                             logits.vocab_size, output)));
  }
  TRY(session.finish());
  return Outcome::success;
}

}  // namespace braid::cli
