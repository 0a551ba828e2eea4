// SIGINT, SIGTERM and SIGHUP while a launcher waits for its ranks: noted, instead of ending it.
#pragma once

#include <csignal>

namespace braid::comm {

// One at a time, in a process with one thread. A SIGHUP that was ignored before (nohup) stays so.
class EndSignals {
 public:
  EndSignals();
  ~EndSignals();
  EndSignals(const EndSignals&) = delete;
  EndSignals& operator=(const EndSignals&) = delete;

  // Readable when a signal has come.
  int readable() const { return pipe_[0]; }
  // The next signal that has come; 0: none.
  int take();

  // Called in a child, which then handles signals as before.
  void restore();

 private:
  int pipe_[2] = {-1, -1};
  struct sigaction before_[3] = {};
  bool restored_ = false;
};

}  // namespace braid::comm
