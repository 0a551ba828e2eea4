// BlockPool: which sequence holds which KV block. A block released after step n is handed out again
// only when step n is known to be done, so that nothing still in flight can read or write it.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "flow/check/check.h"

namespace braid::engine {

// Blocks of `page_size` tokens that hold `tokens` tokens.
constexpr int32_t blocks_for(int64_t tokens, int32_t page_size) {
  return static_cast<int32_t>((tokens + page_size - 1) / page_size);
}

class BlockPool {
 public:
  explicit BlockPool(int32_t num_blocks);

  int32_t num_blocks() const { return num_blocks_; }
  // Blocks that can be handed out now.
  int32_t num_free() const { return static_cast<int32_t>(free_.size()); }

  // Blocks that can be handed out once steps in flight are done.
  int32_t num_retired() const { return static_cast<int32_t>(retired_.size()); }

  // Appends `count` blocks, to be used from step `step` on, to `blocks`; false, and nothing
  // happens, when there are not enough.
  bool allocate(int32_t count, int64_t step, std::vector<int32_t>& blocks);
  // Takes all blocks back; the last step that used them is `last_step`.
  void release(std::vector<int32_t>& blocks, int64_t last_step);
  // Every step up to `step` is done.
  void step_done(int64_t step);

  // Who held which block from when to when, for flow::check_leases: one lease of one block (as one
  // row of resident 0) a release. Off until asked for; `log` must outlive the pool.
  void keep_log(std::vector<flow::Lease>* log) { log_ = log; }

 private:
  struct Retired {
    int64_t last_step;
    int32_t block;
  };
  struct Grant {
    int64_t step = 0;
    int64_t done = 0;  // what was done when the block was handed out
  };
  int32_t num_blocks_;
  int64_t done_ = 0;
  std::vector<Grant> grants_;     // [num_blocks], of the present or last holder
  std::deque<int32_t> free_;      // oldest first
  std::vector<Retired> retired_;  // released, but their last step may still run
  std::vector<flow::Lease>* log_ = nullptr;
};

}  // namespace braid::engine
