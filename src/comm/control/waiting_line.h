// Says that something is waited for, and for how long: on a terminal every second in one line,
// elsewhere a line now and then.
#pragma once

#include <chrono>
#include <string_view>

#include "base/log.h"

namespace braid::comm {

class WaitingLine {
 public:
  // `console`: null prints nothing. `limit`: the longest time to wait.
  WaitingLine(Console* console, std::chrono::milliseconds limit);
  ~WaitingLine();
  WaitingLine(const WaitingLine&) = delete;
  WaitingLine& operator=(const WaitingLine&) = delete;

  // "waiting for WHAT (12 s of 300)". To be called several times a second.
  void show(std::string_view what);

 private:
  Console* console_;
  const std::chrono::seconds limit_;
  Clock::time_point start_;
  std::chrono::seconds next_;
  bool shown_ = false;
};

}  // namespace braid::comm
