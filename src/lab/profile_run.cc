#include "lab/profile_run.h"

#include "lab/engine_runs.h"
#include "start/rank_traces.h"

namespace braid::lab {

Result<std::vector<int64_t>> ProfileRun::prefill() {
  std::vector<int64_t> steps;
  for (int64_t i = 0; i <= sizes_.steps; ++i) {
    TRY(start::RankTraces::record(engine_.ranks(), i > 0));
    for (int64_t group = 0; group < sizes_.groups; ++group) TRY(submit(1));
    TRY(step(sizes_.groups));
    if (i > 0) steps.push_back(engine_.steps());
  }
  TRY(start::RankTraces::record(engine_.ranks(), false));
  return steps;
}

Result<std::vector<int64_t>> ProfileRun::decode() {
  std::vector<engine::RequestId> requests;
  for (int64_t i = 0; i < sizes_.decode; ++i) requests.push_back(TRY(submit(sizes_.answer())));
  for (int64_t i = 0; i < sizes_.prompts_of_a_group(); ++i) TRY(engine_.step());
  TRY(step(sizes_.decode));  // to warm up
  std::vector<int64_t> steps;
  TRY(start::RankTraces::record(engine_.ranks(), true));
  for (int64_t i = 0; i < sizes_.steps; ++i) {
    TRY(step(sizes_.decode));
    steps.push_back(engine_.steps());
  }
  TRY(start::RankTraces::record(engine_.ranks(), false));
  for (const engine::RequestId request : requests) engine_.cancel(request);
  return steps;
}

// A step in which each of `requests` gets a token.
Status ProfileRun::step(int64_t requests) {
  if (std::ssize(TRY(engine_.step())) == requests) return {};
  return Error(ErrorKind::exhausted, "the KV cache does not hold all requests of a step")
      .with("requests", requests)
      .with("prompt tokens", sizes_.prompt)
      .remedy("Lower --decode or --prefill, or raise --kv-blocks.");
}

Result<engine::RequestId> ProfileRun::submit(int64_t tokens) {
  return engine_.submit(
      random_request(engine_.config().vocab_size, sizes_.prompt, tokens, seed_++));
}

// What the passes decided for rank 0's step.
passes::Decisions decisions_of(ranks::Worker& worker, const flow::Timeline& timeline,
                               const PhaseReport& report) {
  const flow::Schedule* schedule = timeline.steps.at(report.windows.front().step).schedule;
  for (const auto& [shape, step] : worker.schedules().all()) {
    if (&step->schedule == schedule) return step->decisions;
  }
  return {};
}

}  // namespace braid::lab
