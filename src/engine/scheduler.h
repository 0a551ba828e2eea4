// Scheduler: which sequences compute which tokens in the next step. Decode comes first, prefill
// fills what is left of the step. A sequence that finds no free block preempts the youngest one,
// which is recomputed later.
#pragma once

#include <deque>
#include <list>
#include <memory>

#include "engine/block_pool.h"
#include "engine/request.h"
#include "layers/step_shape.h"

namespace braid::engine {

struct SchedulerOptions {
  int32_t max_running = 8;             // sequences
  int32_t chunked_prefill_size = 512;  // prefill rows a step
  int32_t max_prefill_sequences = 8;   // sequences in prefill a step
  int32_t page_size = 16;              // tokens a block
};

// Tokens [first, first + count) of a sequence.
struct PlannedRows {
  Sequence* sequence = nullptr;
  int32_t first = 0;
  int32_t count = 0;
  // The last of these rows is the sequence's last token: a next one is sampled.
  bool samples() const { return first + count == sequence->size(); }
};

struct Plan {
  std::vector<PlannedRows> decode;  // one row each
  std::vector<PlannedRows> prefill;
  // KV blocks are missing that a step in flight still uses: wait for it, and plan again. There are
  // no rows then.
  bool waits = false;

  bool empty() const { return decode.empty() && prefill.empty(); }
  layers::RowCounts rows() const;
};

class Scheduler {
 public:
  Scheduler(const SchedulerOptions& options, BlockPool& pool);

  // Queues a sequence. One that can never fit into the pool is `exhausted`.
  Status add(std::unique_ptr<Sequence> sequence);
  // The rows of step `step`, with their blocks allocated.
  Plan plan(int64_t step);
  // Takes a finished sequence out and releases its blocks. The sequence itself ends when the last
  // step that has rows of it is done.
  void finish(Sequence* sequence);
  // Takes a sequence out by id, running or waiting; false when it is not here.
  bool cancel(RequestId id);
  // Every step up to `step` is done, and its tokens are delivered.
  void step_done(int64_t step);

  // Sequences that are here, running or waiting.
  size_t size() const { return waiting_.size() + running_.size(); }
  size_t running() const { return running_.size(); }
  bool idle() const { return waiting_.empty() && running_.empty(); }
  int64_t preemptions() const { return preemptions_; }
  // Tokens whose rows were lost by preemption, and are computed once more.
  int64_t recomputed() const { return recomputed_; }

 private:
  int32_t blocks_for(int32_t tokens) const;
  bool ensure_blocks(Sequence& sequence, int32_t tokens);
  bool plan_decode(Plan& plan);
  void plan_prefill(Plan& plan);
  void preempt_youngest();

  SchedulerOptions options_;
  BlockPool& pool_;
  std::deque<std::unique_ptr<Sequence>> waiting_;
  std::list<std::unique_ptr<Sequence>> running_;  // in the order of admission
  std::vector<std::unique_ptr<Sequence>> ended_;  // taken out; steps in flight may have their rows
  int64_t step_ = 0;                              // that is being planned
  int64_t preemptions_ = 0;
  int64_t recomputed_ = 0;
};

}  // namespace braid::engine
