#include "engine/scheduler.h"

#include <algorithm>

namespace braid::engine {

layers::RowCounts Plan::rows() const {
  layers::RowCounts rows{.decode = static_cast<int32_t>(decode.size())};
  for (const PlannedRows& planned : prefill) rows.prefill += planned.count;
  return rows;
}

Scheduler::Scheduler(const SchedulerOptions& options, BlockPool& pool)
    : options_(options), pool_(pool) {}

int32_t Scheduler::blocks_for(int32_t tokens) const {
  return (tokens + options_.page_size - 1) / options_.page_size;
}

Status Scheduler::add(std::unique_ptr<Sequence> sequence) {
  const int32_t most = blocks_for(static_cast<int32_t>(sequence->request.prompt.size()) +
                                  sequence->request.max_tokens);
  if (most > pool_.num_blocks()) {
    return Error(ErrorKind::exhausted, "the request needs more KV cache than there is")
        .with("prompt tokens", sequence->request.prompt.size())
        .with("max tokens", sequence->request.max_tokens)
        .with("blocks", most)
        .with("blocks there are", pool_.num_blocks())
        .remedy("Raise --kv-blocks, or ask for fewer tokens.");
  }
  waiting_.push_back(std::move(sequence));
  return {};
}

Plan Scheduler::plan(int64_t step) {
  step_ = step;
  Plan plan;
  if (!plan_decode(plan)) return {.decode = {}, .prefill = {}, .waits = true};
  plan_prefill(plan);
  return plan;
}

// Oldest first: a sequence that must give way is younger, and not planned yet. False where blocks
// are missing that a step in flight still uses.
bool Scheduler::plan_decode(Plan& plan) {
  for (auto it = running_.begin(); it != running_.end();) {
    Sequence& sequence = **it;
    if (sequence.remaining() != 1 || sequence.generated() == 0 || sequence.complete()) {
      ++it;
      continue;
    }
    bool still_running = true;
    while (still_running && !ensure_blocks(sequence, sequence.size())) {
      if (pool_.num_retired() > 0) return false;
      still_running = running_.back().get() != &sequence;
      if (!still_running) ++it;  // it gives way itself
      preempt_youngest();
    }
    if (!still_running) return true;  // it was the last one
    plan.decode.push_back({&sequence, sequence.computed, 1});
    ++it;
  }
  return true;
}

void Scheduler::plan_prefill(Plan& plan) {
  int32_t budget = options_.chunked_prefill_size;
  const auto take = [&](Sequence& sequence) {
    const int32_t count = std::min(budget, sequence.remaining());
    plan.prefill.push_back({&sequence, sequence.computed, count});
    budget -= count;
  };
  const auto room = [&] {
    return budget > 0 && static_cast<int32_t>(plan.prefill.size()) < options_.max_prefill_sequences;
  };
  for (const auto& sequence : running_) {
    if (!room()) return;
    if (sequence->complete() || sequence->remaining() == 0) continue;
    if (sequence->remaining() > 1 || sequence->generated() == 0) take(*sequence);
  }
  while (room() && !waiting_.empty() &&
         static_cast<int32_t>(running_.size()) < options_.max_running) {
    Sequence& next = *waiting_.front();
    if (!ensure_blocks(next, next.size())) return;  // first come, first served
    running_.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
    if (next.admitted == decltype(next.admitted)())
      next.admitted = decltype(next.admitted)::clock::now();
    take(next);
  }
}

bool Scheduler::ensure_blocks(Sequence& sequence, int32_t tokens) {
  const int32_t missing = blocks_for(tokens) - static_cast<int32_t>(sequence.blocks.size());
  return missing <= 0 || pool_.allocate(missing, step_, sequence.blocks);
}

void Scheduler::preempt_youngest() {
  std::unique_ptr<Sequence> sequence = std::move(running_.back());
  running_.pop_back();
  pool_.release(sequence->blocks, sequence->last_step);
  recomputed_ += sequence->computed;
  sequence->computed = 0;
  ++sequence->preemptions;
  ++preemptions_;
  waiting_.push_front(std::move(sequence));
}

void Scheduler::finish(Sequence* sequence) { cancel(sequence->id); }

bool Scheduler::cancel(RequestId id) {
  const auto has_id = [id](const auto& sequence) { return sequence->id == id; };
  std::unique_ptr<Sequence> sequence;
  if (const auto it = std::find_if(running_.begin(), running_.end(), has_id);
      it != running_.end()) {
    pool_.release((*it)->blocks, (*it)->last_step);
    sequence = std::move(*it);
    running_.erase(it);
  } else if (const auto waits = std::find_if(waiting_.begin(), waiting_.end(), has_id);
             waits != waiting_.end()) {
    sequence = std::move(*waits);
    waiting_.erase(waits);
  }
  if (sequence == nullptr) return false;
  sequence->finished = true;
  ended_.push_back(std::move(sequence));
  return true;
}

void Scheduler::step_done(int64_t step) {
  std::erase_if(ended_, [step](const auto& sequence) { return sequence->last_step <= step; });
}

}  // namespace braid::engine
