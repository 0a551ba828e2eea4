#include "flow/rewrite.h"

#include <algorithm>
#include <numeric>

namespace braid::flow {

Rewriter::Rewriter(const Program& program) : program_(program), order_(program.ops.size()) {
  std::iota(order_.begin(), order_.end(), 0);
}

void Rewriter::move(const std::vector<int32_t>& ops, Lane lane, int32_t anchor) {
  std::erase_if(order_, [&](int32_t op) { return std::binary_search(ops.begin(), ops.end(), op); });
  const auto before = std::find(order_.begin(), order_.end(), anchor);
  BRAID_CHECK(before != order_.end(), "(op {} can't be moved before itself)", anchor);
  order_.insert(before, ops.begin(), ops.end());
  for (const int32_t op : ops) program_.ops[static_cast<size_t>(op)].lane = lane;
  rewrites_ += static_cast<int>(ops.size());
}

Result<Program> Rewriter::finish() && {
  std::vector<int32_t> highest(order_.size());  // highest op index up to each position
  std::inclusive_scan(order_.begin(), order_.end(), highest.begin(),
                      [](int32_t a, int32_t b) { return std::max(a, b); });
  for (size_t later = 1; later < order_.size(); ++later) {
    const int32_t second = order_[later];
    for (size_t earlier = later; earlier-- > 0 && highest[earlier] > second;) {
      const int32_t first = order_[earlier];
      if (first < second) continue;
      const Op& now_first = program_.ops[static_cast<size_t>(first)];
      const Op& now_second = program_.ops[static_cast<size_t>(second)];
      if (conflict(program_, now_first, now_second)) {
        return Error(ErrorKind::internal, "a rewrite swapped two ops that depend on each other")
            .with("now first", program_.describe(now_first))
            .with("now second", program_.describe(now_second));
      }
    }
  }
  std::vector<Op> ordered;
  ordered.reserve(order_.size());
  for (const int32_t op : order_) ordered.push_back(program_.ops[static_cast<size_t>(op)]);
  program_.ops = std::move(ordered);
  return std::move(program_);
}

}  // namespace braid::flow
