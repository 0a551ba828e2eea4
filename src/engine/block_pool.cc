#include "engine/block_pool.h"

#include <algorithm>

namespace braid::engine {

BlockPool::BlockPool(int32_t num_blocks)
    : num_blocks_(num_blocks), grants_(static_cast<size_t>(num_blocks)) {
  for (int32_t block = 0; block < num_blocks; ++block) free_.push_back(block);
}

bool BlockPool::allocate(int32_t count, int64_t step, std::vector<int32_t>& blocks) {
  if (count > num_free()) return false;
  for (int32_t i = 0; i < count; ++i) {
    const int32_t block = free_.front();
    free_.pop_front();
    grants_[static_cast<size_t>(block)] = {step, done_};
    blocks.push_back(block);
  }
  return true;
}

void BlockPool::release(std::vector<int32_t>& blocks, int64_t last_step) {
  for (const int32_t block : blocks) {
    if (log_ != nullptr) {
      const Grant& grant = grants_[static_cast<size_t>(block)];
      log_->push_back({.resident = 0,
                       .first = block,
                       .last = block + 1,
                       .holder = static_cast<int64_t>(log_->size()),
                       .first_launch = grant.step,
                       .last_launch = std::max(last_step, grant.step),
                       .done_when_granted = grant.done});
    }
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
