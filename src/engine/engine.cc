#include "engine/engine.h"

#include <algorithm>
#include <cmath>

#include "engine/memory_budget.h"

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
                                               EngineOptions options) {
  options = TRY(resolve(config, options));
  if (options.num_blocks == 0) {
    const MemoryBudget budget = TRY(plan_memory(config, options, available_memory()));
    TRY(budget.check());
    options.num_blocks = budget.num_blocks;
    options = TRY(resolve(config, options));
  }
  auto ranks = TRY(Ranks::create(config, options.worker));
  return std::unique_ptr<Engine>(new Engine(options, std::move(ranks)));
}

Engine::Engine(EngineOptions options, std::unique_ptr<Ranks> ranks)
    : options_(std::move(options)),
      ranks_(std::move(ranks)),
      pool_(options_.num_blocks),
      scheduler_({.max_running = options_.max_running,
                  .chunked_prefill_size = options_.chunked_prefill_size,
                  .max_prefill_sequences = worker().model().limits().max_prefill_sequences,
                  .page_size = options_.page_size},
                 pool_) {}

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
  TRY(scheduler_.add(std::move(sequence)));
  return ++last_request_;
}

Result<std::vector<TokenEvent>> Engine::step() {
  TRY(Status(failure_));
  const Plan plan = scheduler_.plan(step_ + 1);
  if (plan.empty()) return std::vector<TokenEvent>{};
  const layers::RowCounts rows = plan.rows();
  const layers::RowCounts bucket{layers::bucket_of(rows.decode), layers::bucket_of(rows.prefill)};
  const layers::StepShape shape{.own = bucket, .group = bucket};
  ++step_;
  const layers::StepLimits limits = worker().model().limits();
  const std::vector<LogitRow> logit_rows =
      fill_words(plan, bucket, limits, options_.page_size, worker().host_words(step_));
  ranks_->share_inputs(step_, layers::InputLayout(bucket, limits).total);
  for (const auto* part : {&plan.decode, &plan.prefill}) {
    for (const PlannedRows& planned : *part) {
      planned.sequence->computed += planned.count;
      planned.sequence->last_step = step_;
    }
  }
  if (preparer_) preparer_(step_, plan, shape);
  failure_ = ranks_->run(shape, step_);
  TRY(Status(failure_));
  pool_.step_done(step_);
  if (observer_) observer_(step_, plan, shape, logit_rows);
  return deliver(logit_rows);
}

std::vector<TokenEvent> Engine::deliver(const std::vector<LogitRow>& logit_rows) {
  const std::span<const int32_t> sampled = worker().sampled(step_);
  std::vector<TokenEvent> events;
  for (size_t row = 0; row < logit_rows.size(); ++row) {
    if (!logit_rows[row].samples) continue;
    Sequence* sequence = logit_rows[row].sequence;
    if (sequence->request.max_tokens == 0) {  // only the prompt was wanted
      events.push_back({.request = sequence->id, .finished = FinishReason::length});
      scheduler_.finish(sequence);
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
    if (event.finished) scheduler_.finish(sequence);
    events.push_back(event);
  }
  return events;
}

}  // namespace braid::engine
