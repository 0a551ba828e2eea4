// braid profile: a few steps of prefill and of decode, traced on all ranks: a page with their
// timeline, a trace for Perfetto, and a table on the terminal.
#include <algorithm>
#include <filesystem>
#include <fstream>

#include "base/json.h"
#include "base/output_file.h"
#include "base/progress.h"
#include "cli/bench.h"
#include "cli/commands.h"
#include "cli/profile_page.h"
#include "ranks/rank_traces.h"

namespace braid::cli {
namespace {

namespace fs = std::filesystem;

// What both files have near their start, so that they are known again.
constexpr std::array<std::string_view, 2> kMarks = {"<!-- made by braid profile -->",
                                                    R"("made_by":"braid")"};
constexpr int64_t kMarkBytes = 256;  // where they are looked for

// The folder that the files go to.
class OutputFolder {
 public:
  // Makes the folder. `usage` where it can't be, or a file of another origin would be lost.
  static Result<OutputFolder> open(const std::string& path) {
    std::error_code failed;
    fs::create_directories(path, failed);
    if (failed || !fs::is_directory(path)) {
      return Error(ErrorKind::usage, "the folder cannot be made")
          .with("--output-dir", path)
          .with("reason", failed ? failed.message() : "something else has this name");
    }
    const OutputFolder folder(path);
    for (const std::string_view name : {kPage, kTrace}) TRY(folder.check(name));
    return folder;
  }

  Status write(std::string_view name, std::string_view text) const {
    return write_file(path_of(name), text, "the profile");
  }

  std::string path_of(std::string_view name) const { return fmt::format("{}/{}", path_, name); }

  static constexpr std::string_view kPage = "timeline.html";
  static constexpr std::string_view kTrace = "trace.json";

 private:
  explicit OutputFolder(std::string path) : path_(std::move(path)) {}

  Status check(std::string_view name) const {
    const std::string path = path_of(name);
    std::error_code failed;
    if (!fs::exists(fs::symlink_status(path, failed))) return {};
    std::ifstream file(path, std::ios::binary);
    std::string start(kMarkBytes, '\0');
    file.read(start.data(), kMarkBytes);
    const bool ours = std::any_of(kMarks.begin(), kMarks.end(), [&](std::string_view mark) {
      return start.find(mark) != std::string::npos;
    });
    if (ours) return {};
    return Error(ErrorKind::usage,
                 "a file of this name is there that braid profile has not written")
        .with("file", path)
        .remedy("Give another folder with --output-dir, or move the file away.");
  }

  std::string path_;
};

// How long and how wide the steps are.
struct Sizes {
  int64_t groups = 1;
  int64_t prompt = 1;  // tokens of every prompt
  int64_t decode = 1;  // requests of a decode step
  int64_t steps = 1;

  // Steps in which a group's prompts come in, one after the other; some decode already.
  int64_t prompts_of_a_group() const { return (decode + groups - 1) / groups; }
  int64_t answer() const { return prompts_of_a_group() + steps + 2; }
};

Result<Sizes> read_sizes(const ParsedOptions& options, const start::Session& session,
                         int64_t groups) {
  const int64_t prefill = options.integer("prefill");
  const Sizes sizes{.groups = groups,
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

// Runs the steps and traces those that count.
class Runner {
 public:
  Runner(engine::Engine& engine, const Sizes& sizes, uint64_t seed)
      : engine_(engine), sizes_(sizes), seed_(seed) {}

  // The numbers of the traced steps: each has one prompt of every group.
  Result<std::vector<int64_t>> prefill() {
    std::vector<int64_t> steps;
    for (int64_t i = 0; i <= sizes_.steps; ++i) {
      TRY(ranks::RankTraces::record(engine_.ranks(), i > 0));
      for (int64_t group = 0; group < sizes_.groups; ++group) TRY(submit(1));
      TRY(step(sizes_.groups));
      if (i > 0) steps.push_back(engine_.steps());
    }
    TRY(ranks::RankTraces::record(engine_.ranks(), false));
    return steps;
  }

  // Likewise: each has one row of every request, behind its prompt.
  Result<std::vector<int64_t>> decode() {
    std::vector<engine::RequestId> requests;
    for (int64_t i = 0; i < sizes_.decode; ++i) requests.push_back(TRY(submit(sizes_.answer())));
    for (int64_t i = 0; i < sizes_.prompts_of_a_group(); ++i) TRY(engine_.step());
    TRY(step(sizes_.decode));  // to warm up
    std::vector<int64_t> steps;
    TRY(ranks::RankTraces::record(engine_.ranks(), true));
    for (int64_t i = 0; i < sizes_.steps; ++i) {
      TRY(step(sizes_.decode));
      steps.push_back(engine_.steps());
    }
    TRY(ranks::RankTraces::record(engine_.ranks(), false));
    for (const engine::RequestId request : requests) engine_.cancel(request);
    return steps;
  }

 private:
  // A step in which each of `requests` gets a token.
  Status step(int64_t requests) {
    if (std::ssize(TRY(engine_.step())) == requests) return {};
    return Error(ErrorKind::exhausted, "the KV cache does not hold all requests of a step")
        .with("requests", requests)
        .with("prompt tokens", sizes_.prompt)
        .remedy("Lower --decode or --prefill, or raise --kv-blocks.");
  }

  Result<engine::RequestId> submit(int64_t tokens) {
    return engine_.submit(
        random_request(engine_.config().vocab_size, sizes_.prompt, tokens, seed_++));
  }

  engine::Engine& engine_;
  Sizes sizes_;
  uint64_t seed_;
};

// What the passes decided for rank 0's step.
passes::Decisions decisions_of(ranks::Worker& worker, const flow::Timeline& timeline,
                               const PhaseReport& report) {
  const flow::Schedule* schedule = timeline.steps.at(report.windows.front().step).schedule;
  for (const auto& [shape, step] : worker.schedules().all()) {
    if (&step->schedule == schedule) return step->decisions;
  }
  return {};
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

Status print(const Context& context, const std::vector<PhaseReport>& phases, const PageFacts& facts,
             const OutputFolder& folder) {
  if (context.options.flag("json")) {
    Json json = {{"model", facts.model},
                 {"timeline", folder.path_of(OutputFolder::kPage)},
                 {"trace", folder.path_of(OutputFolder::kTrace)},
                 {"phases", Json::array()}};
    for (const PhaseReport& phase : phases) json["phases"].push_back(to_json(phase));
    return context.streams.out.json_line(json);
  }
  for (const PhaseReport& phase : phases) {
    TRY(context.streams.out.write(to_table(phase)));
    TRY(context.streams.out.line(""));
  }
  TRY(context.streams.out.line(
      fmt::format("timeline: {}, to be opened in a browser", folder.path_of(OutputFolder::kPage))));
  return context.streams.out.line(fmt::format("trace: {}, for ui.perfetto.dev or chrome://tracing",
                                              folder.path_of(OutputFolder::kTrace)));
}

}  // namespace

Result<Outcome> profile(const Context& context) {
  const ParsedOptions& options = context.options;
  const OutputFolder folder = TRY(OutputFolder::open(options.text("output-dir")));
  start::Session session = TRY(start::Session::open(context, /*with_tokenizer=*/false));
  const int64_t groups = session.limits().groups();
  const Sizes sizes = TRY(read_sizes(options, session, groups));
  TRY(session.start({.context_length = sizes.prompt + sizes.answer(),
                     .max_running = std::max(sizes.decode, groups),
                     .prefill_rows = sizes.prompt * groups}));
  engine::Engine& engine = session.engine();
  Runner runner(engine, sizes, static_cast<uint64_t>(options.integer("seed")));
  Stage stage("profiling", context.streams.console);
  const std::vector<int64_t> prefill = TRY(runner.prefill());
  const std::vector<int64_t> decode = TRY(runner.decode());
  stage.done(
      fmt::format("{} steps on {} ranks", prefill.size() + decode.size(), engine.ranks().size()));

  const auto communicators = groups_of(engine.worker().model().options().layout);
  const auto traces = TRY(ranks::RankTraces::collect(engine.ranks(), engine.plan().worker));
  Profile profile{.timelines = traces.timelines(), .meetings = {}};
  profile.meetings = flow::meetings(profile.timelines, communicators);
  const std::vector<PhaseReport> phases = {
      make_report(profile, "prefill", fmt::format("{} tokens", sizes.prompt * groups), prefill),
      make_report(profile, "decode", fmt::format("{} requests", sizes.decode), decode)};
  PageFacts facts = facts_of(options, session, traces.clock_error_ns());
  for (const PhaseReport& phase : phases) {
    facts.decisions.push_back(decisions_of(engine.worker(), profile.timelines.front(), phase));
  }
  TRY(folder.write(OutputFolder::kPage, make_page(page_data(profile, phases, facts))));
  TRY(folder.write(OutputFolder::kTrace, flow::to_perfetto(profile.timelines, communicators)));
  TRY(print(context, phases, facts, folder));
  return Outcome::success;
}

}  // namespace braid::cli
