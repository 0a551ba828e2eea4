// The processes of a node's ranks: started, watched, ended.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "comm/control/end_signals.h"
#include "comm/control/processes.h"

namespace braid::comm {

// "died by signal 9 (Killed)", or "ended with exit code 1 before its work was done".
std::string how_it_ended(int status);

// A child process.
struct Child {
  int rank = 0;
  pid_t pid = -1;
  std::optional<int> status;  // of waitpid(): it has ended
  // Since when it has been stopped, as by SIGSTOP or Ctrl-Z.
  std::optional<std::chrono::steady_clock::time_point> stopped;

  // Looks whether it has ended, was stopped, or goes on.
  void look();
  bool is_running() const { return pid > 0 && !status; }
};

// Starts a child that runs `body` as `rank`, with the control plane that `connect` makes in it.
Result<Child> start_child(int rank, const std::function<Result<int>()>& connect, const Node& node,
                          EndSignals& signals, const RankBody& body);
// Sends a signal to those that are running.
void signal_children(const std::vector<Child*>& children, int signal);
// Kills and reaps them.
void kill_children(const std::vector<Child*>& children);

// A rank that has been stopped for longer than the node's patience: "rank 1 is stopped".
std::optional<std::string> stopped_too_long(const std::vector<Child*>& children, const Node& node);

}  // namespace braid::comm
