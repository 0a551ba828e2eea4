#include "comm/local/emulated_link.h"

#ifdef __linux__
#include <sys/prctl.h>
#endif

#include <algorithm>

namespace braid::comm {

LinkLoad load_of_all_reduce(double bytes, int64_t ranks) {
  const int64_t messages = 2 * (ranks - 1);
  return {.bytes = bytes * static_cast<double>(messages) / static_cast<double>(ranks),
          .messages = messages};
}

LinkLoad load_of_rows(std::span<const int32_t> counts, int64_t own, double row_bytes) {
  int64_t rows = -counts[static_cast<size_t>(own)];
  for (const int32_t count : counts) rows += count;
  return {.bytes = static_cast<double>(rows) * row_bytes,
          .messages = static_cast<int64_t>(counts.size()) - 1};
}

EmulatedLink::Clock::time_point EmulatedLink::book(Clock::time_point ready, const LinkLoad& load) {
  const std::chrono::duration<double> takes(load.bytes / speed_.bytes_per_second +
                                            static_cast<double>(load.messages) * speed_.latency_us *
                                                1e-6);
  const std::lock_guard lock(mutex_);
  free_ = std::max(free_, ready) + std::chrono::duration_cast<Clock::duration>(takes);
  return free_;
}

void wait_exactly() {
#ifdef __linux__
  thread_local const int once = prctl(PR_SET_TIMERSLACK, 1000UL);  // nanoseconds
  static_cast<void>(once);
#endif
}

}  // namespace braid::comm
