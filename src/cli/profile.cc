// braid profile: a few steps of prefill and of decode, traced on all ranks: a page with their
// timeline, a trace for Perfetto, and a table on the terminal.
#include <algorithm>
#include <filesystem>

#include "base/json.h"
#include "base/progress.h"
#include "cli/commands.h"
#include "cli/profile_folder.h"
#include "cli/profile_page.h"
#include "cli/profile_table.h"
#include "lab/profile_run.h"
#include "start/rank_traces.h"
#include "start/session.h"

namespace braid::cli {
namespace {

namespace fs = std::filesystem;

Result<lab::ProfileSizes> read_sizes(const ParsedOptions& options, const start::Session& session,
                                     int64_t groups) {
  const int64_t prefill = options.integer("prefill");
  const lab::ProfileSizes sizes{.groups = groups,
                                .prompt = (prefill + groups - 1) / groups,
                                .decode = options.integer("decode"),
                                .steps = options.integer("steps")};
  if (prefill > options.integer("chunked-prefill-size")) {
    return Error(ErrorKind::usage, "a prefill step does not hold so many tokens")
        .with("prefill", prefill)
        .with("chunked-prefill-size", options.integer("chunked-prefill-size"))
        .remedy("Lower --prefill or raise --chunked-prefill-size.");
  }
  if (sizes.prompt + sizes.answer() > session.context_length()) {
    return Error(ErrorKind::usage, "prompts and the tokens of the decode steps exceed the context")
        .with("tokens", sizes.prompt + sizes.answer())
        .with("context-length", session.context_length())
        .remedy("Lower --prefill, --decode or --steps.");
  }
  return sizes;
}

PageFacts facts_of(const ParsedOptions& options, start::Session& session, int64_t clock_error_ns) {
  const model::ModelOptions& model = session.engine().worker().model().options();
  fs::path folder = session.folder();
  if (!folder.has_filename()) folder = folder.parent_path();
  const bool dummy = options.text("load-format") == "dummy";
  const bool cuda = session.engine().plan().worker.device == ranks::DeviceKind::cuda;
  PageFacts facts{.model = folder.filename().string(), .facts = {}, .decisions = {}};
  facts.facts = {{"architecture", std::string(session.config().family->class_name)},
                 {"layout", model.layout.world == 1 ? "one rank" : model.layout.to_string()},
                 {"device", cuda ? "cuda" : "cpu"},
                 {"dtype", std::string(dtype_name(model.dtype))},
                 {"weights", dummy ? "made up" : "from the checkpoint"},
                 {"overlap-chunks", options.text("overlap-chunks")},
                 {"dual-stream", options.text("dual-stream")}};
  if (options.has("emulate-link")) {
    facts.facts.emplace_back("emulated link", options.text("emulate-link"));
  }
  if (clock_error_ns > 0)
    facts.facts.emplace_back("clocks", start::describe_clocks(clock_error_ns));
  return facts;
}

Status print(const Context& context, const std::vector<lab::PhaseReport>& phases,
             const PageFacts& facts, const ProfileFolder& folder) {
  if (context.options.flag("json")) {
    Json json = {{"model", facts.model},
                 {"timeline", folder.path_of(ProfileFolder::kPage)},
                 {"trace", folder.path_of(ProfileFolder::kTrace)},
                 {"phases", Json::array()}};
    for (const lab::PhaseReport& phase : phases) json["phases"].push_back(to_json(phase));
    return context.streams.out.json_line(json);
  }
  for (const lab::PhaseReport& phase : phases) {
    TRY(context.streams.out.write(to_table(phase, context.streams.out.table_columns())));
    TRY(context.streams.out.line(""));
  }
  TRY(context.streams.out.line(fmt::format("timeline: {}, to be opened in a browser",
                                           folder.path_of(ProfileFolder::kPage))));
  return context.streams.out.line(fmt::format("trace: {}, for ui.perfetto.dev or chrome://tracing",
                                              folder.path_of(ProfileFolder::kTrace)));
}

}  // namespace

Result<Outcome> profile(const Context& context) {
  const ParsedOptions& options = context.options;
  const ProfileFolder folder = TRY(ProfileFolder::open(options.text("output-dir")));
  start::Session session = TRY(start::Session::open(context, /*with_tokenizer=*/false));
  const int64_t groups = session.limits().groups();
  const lab::ProfileSizes sizes = TRY(read_sizes(options, session, groups));
  TRY(session.start({.context_length = sizes.prompt + sizes.answer(),
                     .max_running = std::max(sizes.decode, groups),
                     .prefill_rows = sizes.prompt * groups}));
  engine::Engine& engine = session.engine();
  lab::ProfileRun runner(engine, sizes, static_cast<uint64_t>(options.integer("seed")));
  Stage stage("profiling", context.streams.console);
  const std::vector<int64_t> prefill = TRY(runner.prefill());
  const std::vector<int64_t> decode = TRY(runner.decode());
  stage.done(
      fmt::format("{} steps on {} ranks", prefill.size() + decode.size(), engine.ranks().size()));

  const auto communicators = lab::groups_of(engine.worker().model().options().layout);
  const auto traces = TRY(start::RankTraces::collect(engine.ranks(), engine.plan().worker));
  lab::Profile profile{.timelines = traces.timelines(), .meetings = {}};
  profile.meetings = flow::meetings(profile.timelines, communicators);
  const std::vector<lab::PhaseReport> phases = {
      lab::make_report(profile, "prefill", fmt::format("{} tokens", sizes.prompt * groups),
                       prefill),
      lab::make_report(profile, "decode", fmt::format("{} requests", sizes.decode), decode)};
  PageFacts facts = facts_of(options, session, traces.clock_error_ns());
  for (const lab::PhaseReport& phase : phases) {
    facts.decisions.push_back(lab::decisions_of(engine.worker(), profile.timelines.front(), phase));
  }
  TRY(folder.write(ProfileFolder::kPage, make_page(page_data(profile, phases, facts))));
  TRY(folder.write(ProfileFolder::kTrace, flow::to_perfetto(profile.timelines, communicators)));
  TRY(print(context, phases, facts, folder));
  return Outcome::success;
}

}  // namespace braid::cli
