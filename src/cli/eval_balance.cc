// braid eval balance: which experts a text's tokens choose, and how evenly ranks share that work.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/json.h"
#include "base/output_file.h"
#include "cli/commands.h"
#include "cli/heat_report.h"
#include "cli/rebalance_report.h"
#include "start/session.h"

namespace braid::cli {
namespace {

// The text as independent prompts of --window tokens, each with an answer of --output-len tokens.
Result<std::vector<engine::Request>> read_requests(const ParsedOptions& options,
                                                   const text::Tokenizer& tokenizer) {
  const std::string& path = options.text("text");
  std::vector<int32_t> ids =
      TRY(tokenizer.encode(TRY(read_file(path)), /*add_special_tokens=*/false));
  if (ids.empty()) {
    return Error(ErrorKind::usage, "the text is empty").with("--text", path);
  }
  if (options.has("max-tokens")) {
    ids.resize(std::min(ids.size(), static_cast<size_t>(options.integer("max-tokens"))));
  }
  const auto window = static_cast<size_t>(options.integer("window"));
  std::vector<engine::Request> requests;
  for (size_t first = 0; first < ids.size(); first += window) {
    const size_t last = std::min(first + window, ids.size());
    requests.push_back({.prompt = {ids.data() + first, ids.data() + last},
                        .max_tokens = static_cast<int32_t>(options.integer("output-len"))});
  }
  return requests;
}

Status check_options(const ParsedOptions& options, const start::Session& session) {
  if (options.has("rebalance") && session.limits().model().layout.moe.sizes[0] == 1) {
    return Error(ErrorKind::usage, "one part of the ranks has all experts: nothing can be balanced")
        .with("ep", 1)
        .remedy("Use --ep 2 or more, or leave --rebalance out.");
  }
  if (!session.config().has_moe_layer()) {
    return Error(ErrorKind::usage, "the model has no experts to balance")
        .with("--model", session.folder());
  }
  if (options.text("expert-heat") == "off") {
    return Error(ErrorKind::usage, "without counting there is nothing to evaluate")
        .with("--expert-heat", "off")
        .remedy("Leave --expert-heat out.");
  }
  const int64_t tokens = options.integer("window") + options.integer("output-len");
  if (tokens <= session.context_length()) return {};
  return Error(ErrorKind::usage, "a piece of the text and its answer do not fit into the context")
      .with("window", options.integer("window"))
      .with("output-len", options.integer("output-len"))
      .with("context-length", session.context_length())
      .remedy("Lower --window or --output-len.");
}

Result<lab::HeatRecord> collect(const Context& context, start::Session& session,
                                std::vector<engine::Request> requests) {
  int64_t tokens = 0;
  for (const engine::Request& request : requests) {  // an answer's last token is not computed
    tokens += std::ssize(request.prompt) + request.max_tokens - 1;
  }
  Stage stage("running the text", context.streams.console);
  int64_t computed = 0;
  const auto progress = [&](int64_t rows) {
    computed += rows;
    context.streams.console.transient(
        fmt::format("running the text: {} of {} tokens", computed, tokens));
  };
  lab::HeatRecord record = TRY(lab::collect_heat(session.engine(), std::move(requests),
                                                 context.options.integer("heat-window"), progress));
  stage.done(fmt::format("{} tokens, {} windows", computed, record.windows.size()));
  return record;
}

// Opens --heat-output before anything is computed for it; no file where it isn't given.
Result<std::optional<OutputFile>> open_heat_output(const ParsedOptions& options) {
  if (!options.has("heat-output")) return std::optional<OutputFile>();
  return std::optional<OutputFile>(
      TRY(OutputFile::create(options.text("heat-output"), "the heat")));
}

}  // namespace

Result<Outcome> eval_balance(const Context& context) {
  const ParsedOptions& options = context.options;
  start::Session session = TRY(start::Session::open(context, /*with_tokenizer=*/true));
  TRY(check_options(options, session));
  std::vector<engine::Request> requests = TRY(read_requests(options, session.tokenizer()));
  std::optional<OutputFile> heat_file = TRY(open_heat_output(options));
  const int64_t window = options.integer("window");
  const auto count = static_cast<int64_t>(requests.size());
  TRY(session.start({.context_length = window + options.integer("output-len"),
                     .max_running = std::min(options.integer("max-running-requests"), count),
                     .prefill_rows = window * count,
                     .expert_heat = true}));
  const lab::HeatRecord record = TRY(collect(context, session, std::move(requests)));
  TRY(session.finish());

  const model::ModelOptions& model = session.engine().plan().worker.model;
  const experts::ExpertPlacement placement =
      model.placement != nullptr ? *model.placement
                                 : lab::placement_in(session.config(), model.layout);
  const double half_life = options.number("heat-half-life");
  if (heat_file) {
    TRY(heat_file->write(heat_export(record).dump() + "\n"));
    TRY(heat_file->finish());
  }
  std::optional<lab::Rebalance> planned;
  if (options.has("rebalance")) {
    planned = TRY(lab::rebalance(record, placement, placement.sizes().redundant(),
                                 lab::move_cost(session.engine().worker().model())));
    TRY(planned->plan.placement.save(options.text("rebalance")));
  }
  if (options.flag("json")) {
    Json summary = heat_summary(record, placement, half_life);
    if (planned) summary["rebalance"] = rebalance_json(*planned);
    TRY(context.streams.out.json_line(summary));
    return Outcome::success;
  }
  TRY(context.streams.out.line(heat_table(record, placement, half_life)));
  if (planned) {
    TRY(context.streams.out.line("\n" + rebalance_text(*planned)));
    TRY(context.streams.out.line(fmt::format("written to {0}: load it with --expert-placement {0}",
                                             options.text("rebalance"))));
  }
  return Outcome::success;
}

}  // namespace braid::cli
