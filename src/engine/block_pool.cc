#include "engine/block_pool.h"

#include <algorithm>

namespace braid::engine {

BlockPool::BlockPool(int32_t num_blocks) : num_blocks_(num_blocks) {
  for (int32_t block = 0; block < num_blocks; ++block) free_.push_back(block);
}

bool BlockPool::allocate(int32_t count, std::vector<int32_t>& blocks) {
  if (count > num_free()) return false;
  for (int32_t i = 0; i < count; ++i) {
    blocks.push_back(free_.front());
    free_.pop_front();
  }
  return true;
}

void BlockPool::release(std::vector<int32_t>& blocks, int64_t last_step) {
  for (const int32_t block : blocks) {
    if (last_step <= done_) {
      free_.push_back(block);
    } else {
      retired_.push_back({last_step, block});
    }
  }
  blocks.clear();
}

void BlockPool::step_done(int64_t step) {
  done_ = std::max(done_, step);
  for (const Retired& retired : retired_) {
    if (retired.last_step <= done_) free_.push_back(retired.block);
  }
  std::erase_if(retired_, [this](const Retired& retired) { return retired.last_step <= done_; });
}

}  // namespace braid::engine
