#include "cli/session.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/json.h"
#include "base/progress.h"
#include "cli/agreement.h"
#include "cli/explain.h"
#include "cli/rank_setting.h"
#include "engine/memory_budget.h"
#include "lab/rank_traces.h"
#include "model/checkpoint_source.h"
#include "model/dummy_source.h"
#include "model/unread_tensors.h"
#include "passes/count_heat.h"
#include "ranks/dispatch_error.h"
#include "ranks/process_ranks.h"

namespace braid::cli {
namespace {

// The part behind "zipf:", which the options table has checked.
double zipf_exponent(const std::string& routing) {
  return std::strtod(routing.c_str() + routing.find(':') + 1, nullptr);
}

// What the options say, whatever the command needs.
Result<engine::EngineOptions> options_of(const ParsedOptions& options) {
  engine::EngineOptions out;
  const auto small = [&](std::string_view name) {
    return static_cast<int32_t>(options.integer(name));
  };
  if (options.has("context-length")) out.context_length = small("context-length");
  if (options.has("kv-blocks")) out.num_blocks = small("kv-blocks");
  out.chunked_prefill_size = small("chunked-prefill-size");
  out.page_size = small("page-size");
  out.layout = TRY(layout_of(options));
  if (options.has("redundant-experts")) out.redundant_experts = small("redundant-experts");
  ranks::WorkerOptions& worker = out.worker;
  if (options.has("expert-placement")) {
    worker.model.placement = std::make_shared<const experts::ExpertPlacement>(
        TRY(experts::ExpertPlacement::load(options.text("expert-placement"))));
  }
  worker.device = device_of(options);
  // What a fault hits is an op that is launched.
  const bool captures = worker.device == ranks::DeviceKind::cuda &&
                        !options.flag("disable-cuda-graph") && !options.has("inject-fault");
  if (captures) worker.max_captured_rows = small("cuda-graph-max-bs");
  worker.step_timeout = step_timeout_of(options);
  worker.model.dtype = TRY(dtype_of(options));
  worker.link = TRY(link_of(options));
  if (options.has("inject-fault")) {
    const FaultRequest request = TRY(parse_fault(options.text("inject-fault")));
    worker.fault = request.fault;
    worker.fault_rank = request.rank;
  }
  worker.passes = TRY(passes::parse_passes(options));
  worker.passes.cost = TRY(profile_of(
      options,
      worker.device == ranks::DeviceKind::cuda ? cost::h100_profile() : cost::cpu_profile(),
      worker.link));
  worker.model.dispatch = TRY(layers::parse_dispatch("--dispatch", options.text("dispatch")));
  if (options.has("routing")) {
    const std::string& routing = options.text("routing");
    const bool balanced = routing == "balanced";
    worker.model.choice = balanced ? kernels::Choice::balanced : kernels::Choice::zipf;
    if (!balanced) worker.model.zipf_exponent = zipf_exponent(routing);
  }
  return out;
}

}  // namespace

Result<cost::DeviceProfile> profile_of(const ParsedOptions& options, cost::DeviceProfile standard,
                                       const std::optional<LinkSpeed>& link) {
  if (options.has("tuning")) {
    const std::string& file = options.text("tuning");
    standard = TRY(cost::parse_profile(TRY(read_file(file)), file));
  }
  return link ? cost::with_link(std::move(standard), *link) : standard;
}

const std::string& Session::folder() const { return context_.options.text("model"); }

Result<Session> Session::open(const Context& context, bool with_tokenizer) {
  Session session(context);
  const ParsedOptions& options = context.options;
  Console& console = context.streams.console;
  Stage reading("reading the configuration", console);
  const std::string override_json =
      options.has("json-model-override-args") ? options.text("json-model-override-args") : "";
  session.config_ = TRY(model::load_config(session.folder(), override_json));
  engine::EngineOptions limits = TRY(options_of(options));
  if (context.control != nullptr && limits.worker.link) {
    return Error(ErrorKind::usage, "links are emulated between threads of one process only")
        .with("--emulate-link", options.text("emulate-link"))
        .remedy("Leave --emulate-link out, or use --cpu-ranks thread.");
  }
  session.limits_ = TRY(engine::resolve(session.config_, limits));
  reading.done(session.config_.family->class_name);
  session.tell(session.config_.notes);
  if (with_tokenizer) {
    Stage stage("reading the tokenizer", console);
    session.tokenizer_ = TRY(text::Tokenizer::load(session.folder()));
    stage.done(fmt::format("{} tokens", session.tokenizer_->vocab_size()));
    TRY(session.add_tokenizer_stop());
  }
  TRY(session.open_trace());
  if (options.flag("explain") && (context.control == nullptr || context.control->rank() == 0)) {
    console.report(explain_options(options));
    console.report(explain_model(session.config_, session.limits_, options, context.ranks));
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
  if (context_.control != nullptr && context_.control->rank() > 0) return;
  Console& console = context_.streams.console;
  for (const model::Note& note : notes) {
    note.warning ? console.warn(note.text) : console.line(note.text);
  }
}

Status Session::open_trace() {
  const bool follows = context_.control != nullptr && context_.control->rank() > 0;
  if (!context_.options.has("trace") || follows) return {};
  trace_file_.emplace(TRY(OutputFile::create(context_.options.text("trace"), "the trace")));
  return {};
}

Result<engine::EngineOptions> Session::engine_options(const EngineNeeds& needs) const {
  engine::EngineOptions options = limits_;
  const auto lower = [](int32_t& value, int64_t need) {
    if (need > 0) value = static_cast<int32_t>(std::min<int64_t>(value, need));
  };
  lower(options.context_length, needs.context_length);
  lower(options.chunked_prefill_size, needs.prefill_rows);
  options.max_running = static_cast<int32_t>(needs.max_running);
  options.run_ahead = needs.run_ahead && !context_.options.flag("disable-overlap-schedule");
  options.worker.model.probes = needs.probes;
  options.worker.passes.of<passes::HeatOptions>().wanted = needs.expert_heat;
  return engine::resolve(config_, options);
}

Result<engine::MemoryShare> Session::memory(const ranks::WorkerOptions& options,
                                            int32_t here) const {
  if (context_.control == nullptr) return engine::memory_of_ranks(options);
  const bool one_host = here == context_.control->size();
  if (options.device == ranks::DeviceKind::cuda && !one_host) {
    return Error(ErrorKind::unsupported, "GPUs of several hosts don't work together yet")
        .with("ranks", context_.control->size())
        .with("on this host", here)
        .remedy("Use the GPUs of one host, or --device cpu.");
  }
  return engine::memory_of_ranks(options, here, context_.control->local_rank());
}

// All ranks that are processes agree, and plan together.
Result<Agreed> Session::agree(const EngineNeeds& needs) const {
  if (context_.control == nullptr) return Agreed{.needs = needs};
  return cli::agree(*context_.control, setting_of(context_.options, config_), needs);
}

Result<engine::EngineOptions> Session::plan(const Agreed& agreed) const {
  Console& console = context_.streams.console;
  engine::EngineOptions options = TRY(engine_options(agreed.needs));
  Stage stage("planning the memory", console);
  engine::MemoryBudget budget =
      TRY(engine::plan_memory(config_, options, TRY(memory(options.worker, agreed.ranks_here))));
  stage.done();
  const std::string table = fmt::format("memory\n{}", budget.table());
  const Status fits = budget.check();
  if (fits.ok() && !context_.options.flag("explain")) {
    console.line(table);
  } else if (context_.control == nullptr || context_.control->rank() == 0) {
    console.report(table);
  }
  TRY(fits);
  options.num_blocks = budget.num_blocks;
  if (context_.control != nullptr) {
    options.num_blocks = TRY(agree_on_blocks(*context_.control, budget.num_blocks));
  }
  return engine::resolve(config_, options);
}

Result<std::unique_ptr<model::TensorSource>> Session::open_weights() const {
  const ParsedOptions& options = context_.options;
  const model::SourceOptions source{.check_weights = options.flag("check-weights")};
  if (options.text("load-format") == "dummy") {
    return std::unique_ptr<model::TensorSource>(
        std::make_unique<model::DummySource>(options.integer("seed"), source));
  }
  Stage stage("opening the checkpoint", context_.streams.console);
  model::Checkpoint checkpoint = TRY(model::Checkpoint::open(folder()));
  stage.done(format_bytes(static_cast<double>(checkpoint.bytes())));
  tell(model::unread_tensors(checkpoint, config_));
  return std::unique_ptr<model::TensorSource>(std::make_unique<model::CheckpointSource>(
      std::move(checkpoint), config_.quantization, source));
}

Status Session::load(const model::TensorSource& source) {
  const int64_t bytes = engine_->ranks().weight_bytes();
  const bool dummy = context_.options.text("load-format") == "dummy";
  Progress progress(dummy ? "making up weights" : "loading the weights", bytes,
                    context_.streams.console);
  TRY(engine_->load(source, [&](int64_t more) { progress.add(more); }));
  progress.done();
  return {};
}

Status Session::start(const EngineNeeds& needs) {
  Console& console = context_.streams.console;
  const std::unique_ptr<model::TensorSource> source = TRY(open_weights());
  const engine::EngineOptions options = TRY(plan(TRY(agree(needs))));
  Stage allocating("allocating the memory", console);
  engine_ = TRY(engine::Engine::create(config_, options, context_.control));
  allocating.done();
  TRY(load(*source));
  if (options.worker.max_captured_rows > 0) {
    Stage capturing("capturing decode steps", console);
    capturing.done(TRY(engine_->ranks().capture()));
  }
  if (trace_file_) TRY(lab::RankTraces::record(engine_->ranks(), true));
  if (context_.options.flag("explain")) console.report(TRY(explain_steps(*engine_)));
  return {};
}

Status Session::start_nothing() const { return agree({.engine = false}).status(); }

Status Session::follow(const Context& context) {
  Session session = TRY(open(context, /*with_tokenizer=*/false));
  const Agreed agreed = TRY(session.agree({}));
  if (!agreed.needs.engine) return {};
  const std::unique_ptr<model::TensorSource> source = TRY(session.open_weights());
  const engine::EngineOptions options = TRY(session.plan(agreed));
  const auto rank =
      TRY(ranks::RankProcess::create(session.config_, options.worker, *context.control));
  TRY(rank->load(*source, nullptr));
  TRY(rank->capture());
  return rank->follow();
}

Status Session::finish() {
  const std::string error = ranks::describe(TRY(ranks::dispatch_errors(engine_->ranks())));
  if (!error.empty()) context_.streams.console.report(error);
  return trace_file_ ? write_trace() : Status();
}

Status Session::write_trace() {
  const auto traces = TRY(lab::RankTraces::collect(*engine_));
  const std::string& path = context_.options.text("trace");
  TRY(trace_file_->write(flow::to_perfetto(traces.timelines())));
  TRY(trace_file_->finish());
  std::string table = flow::module_table(traces.timelines());
  table.pop_back();  // the console ends the line
  context_.streams.console.report(table);
  context_.streams.console.line(fmt::format("trace written to {}", path));
  if (traces.clock_error_ns() > 0) {
    context_.streams.console.line(describe_clocks(traces.clock_error_ns()));
  }
  return {};
}

std::string describe_clocks(int64_t error_ns) {
  return fmt::format("ranks of other hosts are aligned to within {:.0f} µs",
                     std::ceil(static_cast<double>(error_ns) / 1e3));
}

Status add_dispatch_error(Json& json, Session& session) {
  const auto total = ranks::total_of(TRY(ranks::dispatch_errors(session.engine().ranks())));
  if (total.squares != 0) json["dispatch_relative_error"] = total.relative();
  return {};
}

}  // namespace braid::cli
