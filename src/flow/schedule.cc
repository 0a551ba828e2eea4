#include "flow/schedule.h"

#include <fmt/format.h>

#include <algorithm>

namespace braid::flow {

int64_t Schedule::wait_count() const {
  int64_t count = 0;
  for (const Waits& of_op : waits) count += static_cast<int64_t>(of_op.size());
  return count;
}

int64_t Schedule::follow_count() const {
  return std::count_if(successions.begin(), successions.end(),
                       [](const Succession& succession) { return succession.follows; });
}

int Schedule::lanes_used() const {
  return static_cast<int>(
      std::count_if(lanes.begin(), lanes.end(), [](const auto& lane) { return !lane.empty(); }));
}

std::string Schedule::to_string() const {
  std::string text;
  for (size_t i = 0; i < program.ops.size(); ++i) {
    const Op& op = program.ops[i];
    text += fmt::format("{:>5} {:<8}{}", i, name_of(op.lane), program.describe(op));
    for (const int32_t wait : waits[i]) {
      const Op& awaited = program.ops[static_cast<size_t>(wait)];
      text +=
          fmt::format(" | waits for {} ({} {})", wait, name_of(awaited.lane), awaited.kind().name);
    }
    if (successions[i].follows) {
      text += successions[i].constant_weights ? " | follows, weights first" : " | follows";
    }
    text += '\n';
  }
  text += fmt::format("{} ops, {} waits, ", program.ops.size(), wait_count());
  if (follow_count() > 0) text += fmt::format("{} follow, ", follow_count());
  text += fmt::format("workspace {} bytes\n", workspace_bytes);
  return text;
}

}  // namespace braid::flow
