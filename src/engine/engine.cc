#include "engine/engine.h"

#include <algorithm>

#include "engine/logprobs.h"
#include "ranks/log_likelihood.h"
#include "ranks/process_ranks.h"

namespace braid::engine {

Result<std::unique_ptr<Engine>> Engine::create(const model::ModelConfig& config, EnginePlan plan,
                                               comm::ControlPlane* control) {
  auto ranks = TRY(control == nullptr ? ranks::Ranks::create(config, plan.worker)
                                      : ranks::ProcessRanks::create(config, plan.worker, *control));
  return std::unique_ptr<Engine>(new Engine(std::move(plan), std::move(ranks)));
}

Engine::Engine(EnginePlan plan, std::unique_ptr<ranks::Ranks> ranks)
    : plan_(std::move(plan)), ranks_(std::move(ranks)) {
  const GroupSizes sizes = plan_.of_group();
  const SchedulerOptions of_group = {
      .max_running = sizes.max_running,
      .chunked_prefill_size = sizes.chunked_prefill_size,
      .max_prefill_sequences = worker().model().limits().max_prefill_sequences,
      .page_size = plan_.model().page_size};
  for (int32_t group = 0; group < ranks_->num_groups(); ++group) {
    groups_.push_back(std::make_unique<Group>(plan_.model().num_blocks, of_group));
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
  if (prompt_size + request.max_tokens > plan_.context_length) {
    return Error(ErrorKind::usage, "prompt and answer do not fit into the context")
        .with("prompt tokens", prompt_size)
        .with("max-tokens", request.max_tokens)
        .with("context-length", plan_.context_length)
        .remedy("Shorten the prompt or lower --max-tokens.");
  }
  TRY(check_sampling(request, config().vocab_size));
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
  return !in_flight_ && std::all_of(groups_.begin(), groups_.end(),
                                    [](const auto& group) { return group->scheduler.idle(); });
}

void Engine::set_preparer(StepObserver preparer) {
  BRAID_CHECK(!in_flight_, "(step {} is in flight)", in_flight_->number);
  preparer_ = std::move(preparer);
}

void Engine::set_observer(StepObserver observer) {
  BRAID_CHECK(!in_flight_, "(step {} is in flight)", in_flight_->number);
  observer_ = std::move(observer);
}

int64_t Engine::preemptions() const {
  int64_t all = 0;
  for (const auto& group : groups_) all += group->scheduler.preemptions();
  return all;
}

EngineStats Engine::stats() const {
  EngineStats stats{.steps = step_, .rows = rows_, .padding_rows = padding_rows_};
  for (const auto& group : groups_) {
    const auto running = static_cast<int64_t>(group->scheduler.running());
    stats.running += running;
    stats.waiting += static_cast<int64_t>(group->scheduler.size()) - running;
    stats.blocks += group->pool.num_blocks();
    stats.blocks_used += group->pool.num_blocks() - group->pool.num_free();
    stats.preemptions += group->scheduler.preemptions();
    stats.recomputed += group->scheduler.recomputed();
  }
  return stats;
}

// The next step of all groups; nothing where none has rows to compute, or one must wait.
std::vector<GroupStep> Engine::plan_step() {
  std::vector<GroupStep> steps;
  bool waits = false;
  bool empty = true;
  for (const auto& group : groups_) {
    steps.push_back({.plan = group->scheduler.plan(step_ + 1), .shape = {}, .logit_rows = {}});
    waits = waits || steps.back().plan.waits;
    empty = empty && steps.back().plan.empty();
  }
  if (waits || empty) return {};
  choose_shapes(steps);
  return steps;
}

// Each group learns how many rows the largest has.
void Engine::choose_shapes(std::span<GroupStep> steps) const {
  layers::RowCounts most;
  for (GroupStep& step : steps) {
    const layers::RowCounts rows = step.plan.rows();
    step.shape.own = {layers::bucket_of(rows.decode), layers::bucket_of(rows.prefill)};
    most.decode = std::max(most.decode, step.shape.own.decode);
    most.prefill = std::max(most.prefill, step.shape.own.prefill);
    if (step.plan.empty()) step.shape.own = layers::kIdleRows;
    step.shape.sampling = sampling_of(step.plan);
  }
  // Steps are captured for groups that all have the same rows.
  const bool captured = most.prefill == 0 && most.decode <= plan_.worker.max_captured_rows;
  for (GroupStep& step : steps) {
    step.shape.group = most;
    if (captured) step.shape.own = most;
  }
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
    const layers::RowCounts rows = step.plan.rows();
    rows_ += rows.total();
    padding_rows_ += step.shape.own.total() - rows.total();
    step.logit_rows = fill_words(step.plan, step.shape, limits, plan_.model().page_size,
                                 ranks_->words(group, step_), rank_rows);
    const layers::InputLayout layout(step.shape.own, limits, step.shape.sampling);
    ranks_->share_inputs(step_, group, layout.total);
    for (const auto* part : {&step.plan.decode, &step.plan.prefill}) {
      for (const PlannedRows& planned : *part) {
        planned.sequence->computed += planned.count;
        planned.sequence->last_step = step_;
      }
    }
  }
}

// The tokens that a step samples become known when it is collected.
void Engine::expect_tokens(std::span<const GroupStep> steps) {
  for (const GroupStep& step : steps) {
    for (size_t row = 0; row < step.logit_rows.size(); ++row) {
      Sequence& sequence = *step.logit_rows[row].sequence;
      if (!step.logit_rows[row].samples || sequence.request.max_tokens == 0) continue;
      ++sequence.unknown;
      sequence.sampled_row = static_cast<int32_t>(row);
    }
  }
}

Result<std::optional<Engine::InFlight>> Engine::launch(ranks::Ranks::Order order) {
  InFlight step{.number = step_ + 1, .groups = plan_step()};
  if (step.groups.empty()) return std::optional<InFlight>();
  ++step_;
  fill_inputs(step.groups);
  if (preparer_) preparer_(step_, step.groups);
  std::vector<layers::StepShape> shapes;
  for (const GroupStep& group : step.groups) shapes.push_back(group.shape);
  failure_ = ranks_->submit(shapes, step_, order);
  TRY(Status(failure_));
  expect_tokens(step.groups);
  return std::optional<InFlight>(std::move(step));
}

Result<std::vector<TokenEvent>> Engine::collect(const InFlight& step) {
  failure_ = ranks_->wait(step.number);
  TRY(Status(failure_));
  for (const auto& group : groups_) group->pool.step_done(step.number);
  if (observer_) observer_(step.number, step.groups);
  std::vector<TokenEvent> events;
  for (int32_t group = 0; group < std::ssize(step.groups); ++group) {
    TRY(deliver(group, step.number, step.groups[static_cast<size_t>(group)], events));
  }
  for (const auto& group : groups_) group->scheduler.step_done(step.number);
  return events;
}

Result<std::vector<TokenEvent>> Engine::step() {
  TRY(Status(failure_));
  return runs_ahead() ? step_ahead() : step_plainly();
}

Status Engine::deliver(int32_t group, int64_t number, const GroupStep& step,
                       std::vector<TokenEvent>& events) {
  Scheduler& scheduler = groups_[static_cast<size_t>(group)]->scheduler;
  const std::span<const int32_t> sampled = ranks_->sampled(group, number);
  for (size_t row = 0; row < step.logit_rows.size(); ++row) {
    if (!step.logit_rows[row].samples) continue;
    Sequence* sequence = step.logit_rows[row].sequence;
    if (sequence->finished) continue;
    if (sequence->request.max_tokens == 0) {  // only the prompt was wanted
      events.push_back({.request = sequence->id,
                        .finished = FinishReason::length,
                        .admitted = sequence->admitted});
      scheduler.finish(sequence);
      continue;
    }
    const int32_t token = sampled[row];
    if (token == kernels::kNoChoice) {
      failure_ = ranks::logits_not_finite().with("position", sequence->tokens.size());
      return Status(failure_);
    }
    sequence->tokens.push_back(token);
    --sequence->unknown;
    TokenEvent event{
        .request = sequence->id, .token = token, .finished = {}, .admitted = sequence->admitted};
    if (sequence->request.logprobs >= 0) {
      const layers::InputLayout layout(step.shape.own, worker().model().limits());
      event.logprobs = logprobs_of(ranks_->logprobs(group, number), layout.num_logits, row);
    }
    const std::vector<int32_t>& stops = sequence->request.stop_token_ids;
    if (std::find(stops.begin(), stops.end(), token) != stops.end()) {
      event.finished = FinishReason::stop;
    } else if (sequence->complete() && sequence->unknown == 0) {
      event.finished = FinishReason::length;
    }
    if (event.finished) scheduler.finish(sequence);
    events.push_back(std::move(event));
  }
  return {};
}

}  // namespace braid::engine
