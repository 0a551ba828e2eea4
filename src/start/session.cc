#include "start/session.h"

#include <algorithm>
#include <filesystem>

#include "base/json.h"
#include "base/progress.h"
#include "ranks/dispatch_error.h"
#include "ranks/process_ranks.h"
#include "start/agreement.h"
#include "start/asked_options.h"
#include "start/explain.h"
#include "start/memory_budget.h"

namespace braid::start {

const std::string& Session::folder() const { return invocation_.options.text("model"); }

Result<Session> Session::open(const Invocation& invocation, bool with_tokenizer) {
  Session session(invocation);
  const ParsedOptions& options = invocation.options;
  Console& console = invocation.console;
  Stage reading("reading the configuration", console);
  session.config_ = TRY(asked_model(options));
  const EngineOptions asked = TRY(asked_options(options));
  if (invocation.control != nullptr && asked.worker.link) {
    return Error(ErrorKind::usage, "links are emulated between threads of one process only")
        .with("--emulate-link", options.text("emulate-link"))
        .remedy("Leave --emulate-link out, or use --cpu-ranks thread.");
  }
  session.limits_ = TRY(resolve(session.config_, asked));
  reading.done(session.config_.family->class_name);
  session.tell(session.config_.notes);
  if (with_tokenizer) {
    Stage stage("reading the tokenizer", console);
    session.tokenizer_ = TRY(text::Tokenizer::load(session.folder()));
    stage.done(fmt::format("{} tokens", session.tokenizer_->vocab_size()));
    TRY(session.add_tokenizer_stop());
  }
  session.trace_ = TRY(TraceFile::open(invocation));
  if (options.flag("explain") && invocation.leads()) {
    console.report(explain_options(options));
    console.report(explain_model(session.config_, session.limits(), options, invocation.ranks));
  }
  return session;
}

void Session::add_stop(std::optional<int32_t> token) {
  std::vector<int64_t>& stops = config_.eos_token_ids;
  if (token && std::find(stops.begin(), stops.end(), *token) == stops.end()) {
    stops.push_back(*token);
  }
}

// tokenizer_config.json's eos_token: a model that was trained further may end with another token
// than the configurations of its base say.
Status Session::add_tokenizer_stop() {
  const std::filesystem::path path = std::filesystem::path(folder()) / "tokenizer_config.json";
  std::error_code code;
  if (!std::filesystem::exists(path, code)) return {};
  const text::TokenizerConfig config = TRY(text::load_tokenizer_config(path.string()));
  if (config.eos_token) add_stop(tokenizer_->token_id(*config.eos_token));
  return {};
}

void Session::tell(const std::vector<model::Note>& notes) const {
  if (!invocation_.leads()) return;
  for (const model::Note& note : notes) {
    note.warning ? invocation_.console.warn(note.text) : invocation_.console.line(note.text);
  }
}

Result<WeightSource> Session::open_weights() const {
  WeightSource source = TRY(start::open_weights(invocation_.options, config_, invocation_.console));
  tell(source.notes);
  return source;
}

// All ranks that are processes agree, and plan together.
Result<Agreed> Session::agree(const EngineNeeds& needs) const {
  if (invocation_.control == nullptr) return Agreed{.needs = needs};
  return start::agree(*invocation_.control, setting_of(invocation_.options, config_), needs);
}

Result<EnginePlan> Session::plan(const Agreed& agreed) const {
  Console& console = invocation_.console;
  comm::ControlPlane* control = invocation_.control;
  EnginePlan plan = narrowed(limits(), config_, agreed.needs);
  Stage stage("planning the memory", console);
  const MemoryShare memory =
      TRY(control == nullptr ? memory_of_ranks(plan.worker)
                             : memory_of_process(plan.worker, *control, agreed.ranks_here));
  const MemoryBudget budget = TRY(plan_memory(config_, plan, memory));
  stage.done();
  const std::string table = fmt::format("memory\n{}", budget.table());
  const Status fits = budget.check();
  if (fits.ok() && !invocation_.options.flag("explain")) {
    console.stage(table);
  } else if (invocation_.leads()) {
    console.report(table);
  }
  TRY(fits);
  int32_t blocks = budget.num_blocks;
  if (control != nullptr) blocks = TRY(agree_on_blocks(*control, blocks));
  return with_memory(std::move(plan), blocks, budget.workspace_bytes);
}

Status Session::load(const WeightSource& source) {
  Progress progress(source.made_up ? "making up weights" : "loading the weights",
                    engine_->ranks().weight_bytes(), invocation_.console);
  TRY(engine_->load(*source.tensors, [&](int64_t more) { progress.add(more); }));
  progress.done();
  return {};
}

Status Session::start(const EngineNeeds& needs) {
  Console& console = invocation_.console;
  const WeightSource source = TRY(open_weights());
  EnginePlan plan = TRY(this->plan(TRY(agree(needs))));
  Stage allocating("allocating the memory", console);
  engine_ = TRY(engine::Engine::create(config_, std::move(plan), invocation_.control));
  allocating.done();
  TRY(load(source));
  if (engine_->plan().worker.max_captured_rows > 0) {
    Stage capturing("capturing decode steps", console);
    capturing.done(TRY(engine_->ranks().capture()));
  }
  if (trace_) TRY(start::RankTraces::record(engine_->ranks(), true));
  if (invocation_.options.flag("explain")) console.report(TRY(explain_steps(*engine_)));
  return {};
}

Status Session::start_nothing() const { return agree({.engine = false}).status(); }

Status Session::follow(const Invocation& invocation) {
  Session session = TRY(open(invocation, /*with_tokenizer=*/false));
  const Agreed agreed = TRY(session.agree({}));
  if (!agreed.needs.engine) return {};
  const WeightSource source = TRY(session.open_weights());
  const EnginePlan plan = TRY(session.plan(agreed));
  const auto rank =
      TRY(ranks::RankProcess::create(session.config_, plan.worker, *invocation.control));
  TRY(rank->load(*source.tensors, nullptr));
  TRY(rank->capture());
  return rank->follow();
}

Status Session::finish() {
  const std::string error = ranks::describe(TRY(ranks::dispatch_errors(engine_->ranks())));
  if (!error.empty()) invocation_.console.report(error);
  if (!trace_) return {};
  return trace_->write(engine_->ranks(), engine_->plan().worker, invocation_.console);
}

Status add_dispatch_error(Json& json, Session& session) {
  const auto total = ranks::total_of(TRY(ranks::dispatch_errors(session.engine().ranks())));
  if (total.squares != 0) json["dispatch_relative_error"] = total.relative();
  return {};
}

}  // namespace braid::start
