// braid verify: proves Schedules free of races and deadlocks, and compares runs with delays with
// serial execution.
#include <algorithm>

#include "base/json.h"
#include "cli/verify_report.h"
#include "lab/engine_runs.h"
#include "lab/verification.h"
#include "start/explain.h"
#include "start/session.h"

namespace braid::cli {
namespace {

constexpr int32_t kLongestDelay = 200;  // microseconds before an op

// A step of all ranks. One that took longer than `bound_us` is compiled again, twice at most, and
// the fastest counts: another process may have been in the way.
Result<lab::RankSteps> compile_in_time(const lab::StepCompiler& compiler,
                                       const layers::StepShape& shape, double bound_us) {
  lab::RankSteps fastest = TRY(compiler.compile(shape));
  for (int again = 0; again < 2 && total_us(*fastest.front()) > bound_us; ++again) {
    lab::RankSteps other = TRY(compiler.compile(shape));
    if (total_us(*other.front()) < total_us(*fastest.front())) fastest = std::move(other);
  }
  return fastest;
}

Status explain_step(const model::ModelConfig& config, const steps::CompiledStep& step,
                    VerifyReport& report) {
  TRY(report.line(start::explain_layer(step.schedule, config)));
  for (const passes::Decision& decision : step.decisions) {
    TRY(report.line(fmt::format("  {}: {} ({}){}", decision.pass, decision.choice, decision.reason,
                                decision.predicted())));
  }
  return {};
}

// Compiles every representative step on all ranks without allocating anything, and proves each of
// them, the ranks' agreement, and the order of the launches between neighbours.
Status verify_schedules(const Context& context, const model::ModelConfig& config,
                        const engine::EnginePlan& plan, VerifyReport& report) {
  const lab::StepCompiler compiler(config, plan.worker);
  TRY(report.heading());
  lab::RankSteps last;
  bool explained = !context.options.flag("explain");
  for (const layers::StepShape& shape : lab::representative_shapes(plan.model().max_rows)) {
    const auto found = [&](const Status& proof) {
      return proof.ok() ? Status()
                        : report.finding(Error(proof.error()).with("rows", shape.to_string()));
    };
    auto steps = compile_in_time(compiler, shape, report.bound_us());
    TRY(found(steps.status()));
    if (!steps.ok()) continue;
    TRY(report.schedule(shape, *steps));
    if (!std::exchange(explained, true)) TRY(explain_step(config, *steps->front(), report));
    const auto joint = compiler.check_joint(*steps);
    TRY(found(joint.status()));
    if (joint.ok()) report.met(*joint);
    if (!last.empty()) TRY(found(compiler.check_launches(last, *steps).status()));
    last = std::move(*steps);
  }
  return {};
}

// The same for groups of ranks with different rows, where there are several.
Status verify_groups(const model::ModelConfig& config, const engine::EnginePlan& plan,
                     VerifyReport& report) {
  const lab::StepCompiler compiler(config, plan.worker);
  lab::RankSteps last;
  for (const auto& shapes : lab::unequal_shapes(plan.model().max_rows, plan.groups())) {
    const auto found = [&](const Status& proof) {
      return proof.ok()
                 ? Status()
                 : report.finding(
                       Error(proof.error()).with("rows of the first group", shapes[0].to_string()));
    };
    auto steps = compiler.compile(shapes);
    TRY(found(steps.status()));
    if (!steps.ok()) continue;
    report.unequal(*steps);
    const auto joint = compiler.check_joint(*steps);
    TRY(found(joint.status()));
    if (joint.ok()) report.met(*joint);
    if (!last.empty()) TRY(found(compiler.check_launches(last, *steps).status()));
    last = std::move(*steps);
  }
  return {};
}

// Requests whose steps are prefill, decode, and both at once.
std::vector<engine::Request> small_requests(const model::ModelConfig& config, uint64_t seed) {
  std::vector<engine::Request> requests;
  for (const int64_t input_len : {5, 21, 2, 13}) {
    requests.push_back(
        lab::random_request(config.vocab_size, input_len, 4, seed + requests.size()));
    requests.back().sampling = {.temperature = 1, .seed = seed};
  }
  return requests;
}

constexpr start::EngineNeeds kSmallEngine = {
    .context_length = 32, .max_running = 4, .prefill_rows = 16, .probes = {.all_logits = true}};

// Runs `runs` times with delays what one serial run has recorded; how many runs were equal to it.
Result<int64_t> verify_runs(const Context& context, start::Session& session, int64_t runs,
                            VerifyReport& report) {
  TRY(session.start(kSmallEngine));
  Stage stage("comparing runs", context.streams.console);
  const auto seed = static_cast<uint64_t>(context.options.integer("seed"));
  const auto requests = small_requests(session.config(), seed);
  const auto recording = TRY(lab::StepRecording::record(session.engine(), requests));
  int64_t equal = 0;
  for (int64_t run = 0; run < runs; ++run) {
    const flow::Delays delays{.seed = (seed + static_cast<uint64_t>(run)) << 20,
                              .longest = kLongestDelay};
    const Status same = recording.replay(session.engine().ranks(), delays);
    equal += same.ok() ? 1 : 0;
    if (!same.ok()) TRY(report.finding(same.error()));
    context.streams.console.transient(fmt::format("comparing runs: {} of {}", run + 1, runs));
  }
  stage.done(fmt::format("{} runs of {} steps", runs, recording.num_steps()));
  TRY(session.finish());
  return equal;
}

}  // namespace

Result<Outcome> verify(const Context& context) {
  const ParsedOptions& options = context.options;
  const int64_t runs = options.integer("delays");
  if (runs == 0 && options.has("trace")) {
    return Error(ErrorKind::usage, "--trace needs --delays: without it verify runs nothing")
        .remedy("Add --delays N, or leave --trace out.");
  }
  start::Session session = TRY(start::Session::open(context, /*with_tokenizer=*/false));
  if (runs > 0 && session.context_length() < kSmallEngine.context_length) {
    return Error(ErrorKind::usage, "the context is too short for the runs with delays")
        .with("context-length", session.context_length())
        .remedy(fmt::format("Raise it to {}, or leave --delays out.", kSmallEngine.context_length));
  }
  engine::EnginePlan plan = start::narrowed(
      session.limits(), session.config(), {.max_running = options.integer("max-running-requests")});
  plan.worker.model.num_blocks = std::max(plan.model().num_blocks, 1);
  VerifyReport report(context, session.config().num_layers);
  TRY(verify_schedules(context, session.config(), plan, report));
  TRY(verify_groups(session.config(), plan, report));
  if (runs == 0) TRY(session.start_nothing());
  TRY(report.finish(runs > 0 ? TRY(verify_runs(context, session, runs, report)) : 0));
  return Outcome::success;
}

}  // namespace braid::cli
