// Ctrl-C while something runs that can end in good order.
#pragma once

namespace braid::cli {

// While it lives, the first SIGINT is noted, and one that comes 0.3 s later or more ends
// the process. One at a time.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  bool interrupted() const;
};

}  // namespace braid::cli
