// Links between ranks that are threads of one process, as slow as those of a machine that has some:
// what communication would cost there, and what overlap hides of it, is then seen anywhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <span>

#include "base/link_speed.h"

namespace braid::comm {

// What a member of a collective has its link do.
struct LinkLoad {
  double bytes = 0;
  int64_t messages = 0;  // one behind the other, each with the link's latency
};

// The load of a ring of `ranks` members, each of which has a link to the next.
// Sum of `bytes` on every member: 2 (n − 1) messages of an n-th of them each.
LinkLoad load_of_all_reduce(double bytes, int64_t ranks);
// Rows that a member gets from the others (a gather), or sums up for them (the way back): all but
// its own, in n − 1 messages.
LinkLoad load_of_rows(std::span<const int32_t> counts, int64_t own, double row_bytes);

// The one link of a rank, for all of its communicators. Any thread may call it.
class EmulatedLink {
 public:
  using Clock = std::chrono::steady_clock;

  explicit EmulatedLink(const LinkSpeed& speed) : speed_(speed) {}

  // When a load that can start at `ready` is through: behind all loads booked before.
  Clock::time_point book(Clock::time_point ready, const LinkLoad& load);

 private:
  const LinkSpeed speed_;
  std::mutex mutex_;
  Clock::time_point free_;
};

// Lets this thread's waits end within a microsecond or so of their time, where the system has them
// end up to 50 later otherwise.
void wait_exactly();

}  // namespace braid::comm
