#include "engine/engine.h"

#include <algorithm>
#include <cmath>

#include "engine/memory_budget.h"
#include "ranks/process_ranks.h"

namespace braid::engine {
namespace {

Status check_sampling(const SamplingParams& sampling) {
  if (!(sampling.temperature >= 0) || !std::isfinite(sampling.temperature)) {
    return Error(ErrorKind::usage, "the temperature must be 0 or more")
        .with("temperature", sampling.temperature);
  }
  if (!(sampling.top_p > 0 && sampling.top_p <= 1)) {
    return Error(ErrorKind::usage, "top-p must be above 0 and at most 1")
        .with("top-p", sampling.top_p);
  }
  if (sampling.top_k < 0) {
    return Error(ErrorKind::usage, "top-k must be 0 (all tokens) or more")
        .with("top-k", sampling.top_k);
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::create(const model::ModelConfig& config,
                                               EngineOptions options, comm::ControlPlane* control) {
  options = TRY(resolve(config, options));
  if (options.num_blocks == 0) {
    BRAID_CHECK(control == nullptr, "(processes agree on KV blocks)");
    const MemoryBudget budget =
        TRY(plan_memory(config, options, TRY(memory_of_ranks(options.worker))));
    TRY(budget.check());
    options.num_blocks = budget.num_blocks;
    options = TRY(resolve(config, options));
  }
  auto ranks =
      TRY(control == nullptr ? ranks::Ranks::create(config, options.worker)
                             : ranks::ProcessRanks::create(config, options.worker, *control));
  return std::unique_ptr<Engine>(new Engine(options, std::move(ranks)));
}

Engine::Engine(EngineOptions options, std::unique_ptr<ranks::Ranks> ranks)
    : options_(std::move(options)), ranks_(std::move(ranks)) {
  const GroupSizes sizes = group_sizes(options_);
  const SchedulerOptions of_group = {
      .max_running = sizes.max_running,
      .chunked_prefill_size = sizes.chunked_prefill_size,
      .max_prefill_sequences = worker().model().limits().max_prefill_sequences,
      .page_size = options_.page_size};
  for (int32_t group = 0; group < ranks_->num_groups(); ++group) {
    groups_.push_back(std::make_unique<Group>(options_.num_blocks, of_group));
  }
}

Result<RequestId> Engine::submit(Request request) {
  if (request.prompt.empty()) {
    return Error(ErrorKind::usage, "the prompt is empty").remedy("Give at least one token.");
  }
  for (size_t i = 0; i < request.prompt.size(); ++i) {
    if (request.prompt[i] >= 0 && request.prompt[i] < config().vocab_size) continue;
    return Error(ErrorKind::usage, "a token id is outside of the vocabulary")
        .with("index", i)
        .with("id", request.prompt[i])
        .with("vocab_size", config().vocab_size);
  }
  const auto prompt_size = static_cast<int64_t>(request.prompt.size());
  if (request.max_tokens < 0) {
    return Error(ErrorKind::usage, "no negative number of tokens can be asked for")
        .with("max-tokens", request.max_tokens);
  }
  if (prompt_size + request.max_tokens > options_.context_length) {
    return Error(ErrorKind::usage, "prompt and answer do not fit into the context")
        .with("prompt tokens", prompt_size)
        .with("max-tokens", request.max_tokens)
        .with("context-length", options_.context_length)
        .remedy("Shorten the prompt or lower --max-tokens.");
  }
  TRY(check_sampling(request.sampling));
  auto sequence = std::make_unique<Sequence>();
  sequence->id = last_request_ + 1;
  sequence->tokens = request.prompt;
  sequence->request = std::move(request);
  TRY(least_loaded().add(std::move(sequence)));
  return ++last_request_;
}

// The one with the fewest sequences; the first of equals.
Scheduler& Engine::least_loaded() {
  const auto least = std::min_element(groups_.begin(), groups_.end(), [](auto& a, auto& b) {
    return a->scheduler.size() < b->scheduler.size();
  });
  return (*least)->scheduler;
}

bool Engine::cancel(RequestId id) {
  return std::any_of(groups_.begin(), groups_.end(),
                     [id](const auto& group) { return group->scheduler.cancel(id); });
}

bool Engine::idle() const {
  return std::all_of(groups_.begin(), groups_.end(),
                     [](const auto& group) { return group->scheduler.idle(); });
}

int64_t Engine::preemptions() const {
  int64_t all = 0;
  for (const auto& group : groups_) all += group->scheduler.preemptions();
  return all;
}

// The next step of all groups; each learns how many rows the largest has.
std::vector<GroupStep> Engine::plan() {
  std::vector<GroupStep> steps;
  layers::RowCounts most;
  for (const auto& group : groups_) {
    GroupStep step{.plan = group->scheduler.plan(step_ + 1), .shape = {}, .logit_rows = {}};
    const layers::RowCounts rows = step.plan.rows();
    step.shape.own = {layers::bucket_of(rows.decode), layers::bucket_of(rows.prefill)};
    most.decode = std::max(most.decode, step.shape.own.decode);
    most.prefill = std::max(most.prefill, step.shape.own.prefill);
    if (step.plan.empty()) step.shape.own = layers::kIdleRows;
    steps.push_back(std::move(step));
  }
  for (GroupStep& step : steps) step.shape.group = most;
  return steps;
}

// Writes the inputs of all ranks, which include the exact row counts of all groups.
void Engine::fill_inputs(std::span<GroupStep> steps) {
  const layers::StepLimits limits = worker().model().limits();
  std::vector<int32_t> rank_rows;
  for (const GroupStep& step : steps) {
    if (steps.size() > 1) rank_rows.push_back(rows_to_last(step.plan, step.shape.own));
  }
  for (int32_t group = 0; group < std::ssize(steps); ++group) {
    GroupStep& step = steps[static_cast<size_t>(group)];
    step.logit_rows = fill_words(step.plan, step.shape.own, limits, options_.page_size,
                                 ranks_->words(group, step_), rank_rows);
    ranks_->share_inputs(step_, group, layers::InputLayout(step.shape.own, limits).total);
    for (const auto* part : {&step.plan.decode, &step.plan.prefill}) {
      for (const PlannedRows& planned : *part) {
        planned.sequence->computed += planned.count;
        planned.sequence->last_step = step_;
      }
    }
  }
}

Status Engine::run(std::span<const GroupStep> steps) {
  std::vector<layers::StepShape> shapes;
  for (const GroupStep& step : steps) shapes.push_back(step.shape);
  return ranks_->run(shapes, step_);
}

Result<std::vector<TokenEvent>> Engine::step() {
  TRY(Status(failure_));
  std::vector<GroupStep> steps = plan();
  std::vector<TokenEvent> events;
  if (std::all_of(steps.begin(), steps.end(),
                  [](const GroupStep& step) { return step.plan.empty(); })) {
    return events;
  }
  ++step_;
  fill_inputs(steps);
  if (preparer_) preparer_(step_, steps);
  failure_ = run(steps);
  TRY(Status(failure_));
  for (const auto& group : groups_) group->pool.step_done(step_);
  if (observer_) observer_(step_, steps);
  for (int32_t group = 0; group < std::ssize(steps); ++group) {
    deliver(group, steps[static_cast<size_t>(group)].logit_rows, events);
  }
  return events;
}

void Engine::deliver(int32_t group, const std::vector<LogitRow>& logit_rows,
                     std::vector<TokenEvent>& events) {
  Scheduler& scheduler = groups_[static_cast<size_t>(group)]->scheduler;
  const std::span<const int32_t> sampled = ranks_->sampled(group, step_);
  for (size_t row = 0; row < logit_rows.size(); ++row) {
    if (!logit_rows[row].samples) continue;
    Sequence* sequence = logit_rows[row].sequence;
    if (sequence->request.max_tokens == 0) {  // only the prompt was wanted
      events.push_back({.request = sequence->id, .finished = FinishReason::length});
      scheduler.finish(sequence);
      continue;
    }
    const int32_t token = sampled[row];
    sequence->tokens.push_back(token);
    TokenEvent event{.request = sequence->id, .token = token, .finished = {}};
    const std::vector<int32_t>& stops = sequence->request.stop_token_ids;
    if (std::find(stops.begin(), stops.end(), token) != stops.end()) {
      event.finished = FinishReason::stop;
    } else if (sequence->generated() >= sequence->request.max_tokens) {
      event.finished = FinishReason::length;
    }
    if (event.finished) scheduler.finish(sequence);
    events.push_back(event);
  }
}

}  // namespace braid::engine
