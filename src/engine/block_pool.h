// BlockPool: who holds which KV block. A block released after step n is handed out again only when
// step n is known to be done, so that nothing still in flight can read or write it.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <vector>

#include "base/status.h"

namespace braid::engine {

class BlockPool {
 public:
  explicit BlockPool(int32_t num_blocks);

  int32_t num_blocks() const { return num_blocks_; }
  // Blocks that can be handed out now.
  int32_t num_free() const { return static_cast<int32_t>(free_.size()); }

  // Appends `count` blocks to `blocks`; false, and nothing happens, when there are not enough.
  bool allocate(int32_t count, std::vector<int32_t>& blocks);
  // Takes all blocks back; the last step that used them is `last_step`.
  void release(std::vector<int32_t>& blocks, int64_t last_step);
  // Every step up to `step` is done.
  void step_done(int64_t step);

 private:
  struct Retired {
    int64_t last_step;
    int32_t block;
  };
  int32_t num_blocks_;
  int64_t done_ = 0;
  std::deque<int32_t> free_;      // oldest first
  std::vector<Retired> retired_;  // released, but their last step may still run
};

}  // namespace braid::engine
