// The side of the control plane that starts ranks and serves them: part of processes.h.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "comm/control/message.h"
#include "comm/control/processes.h"

namespace braid::comm {

// A child process.
struct Child {
  int rank = 0;
  pid_t pid = -1;
};

// Starts a child that runs `body` as `rank`, with the control plane that `connect` makes in it.
Result<Child> start_child(int rank, const std::function<Result<int>()>& connect, const Node& node,
                          const RankBody& body);
// Reaps it: "died by signal 9 (Killed)", or "ended with exit code 1 before its work was done".
std::string how_it_ended(int status);

// Serves the control planes of all ranks: those of this node by socketpairs, or where there are
// several nodes all of them by TCP.
class Supervisor {
 public:
  explicit Supervisor(const Node& node);
  ~Supervisor();
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  Status start(const RankBody& body);
  // Until all ranks have ended, or the grace after a fault is over.
  Result<std::string> serve();

 private:
  using Clock = std::chrono::steady_clock;
  struct Rank {
    pid_t pid = -1;  // of this node's
    int socket = -1;
    bool came = false;
    bool succeeded = false;
    bool waiting = false;                       // its part of a gather has come
    std::optional<Clock::time_point> patience;  // until when it waits for the others'
    std::string part;
    std::optional<ToldError> said;
  };

  bool ended() const;
  int milliseconds_to_wait() const;
  void check_time();
  void welcome();
  void hear(size_t index);
  void hear_fault(size_t index, const Message& message);
  void answer_gather();
  void bury(size_t index);
  void bury_before_it_came(size_t index);
  void left_early(size_t index);
  bool gathering() const;
  std::string missing(bool (*is_there)(const Rank&)) const;
  void declare_fault(std::string what);
  Error report() const;

  const Node node_;
  int listener_ = -1;
  std::vector<Rank> ranks_;
  std::vector<int> observers_;  // sockets of other nodes, which want to know of faults alone
  Clock::time_point connect_by_;
  std::string outcome_;
  std::string fault_;
  std::optional<size_t> first_;  // the rank whose own error the fault is
  // From the first consequence of a fault on: when it is declared though its cause is not known.
  std::optional<Clock::time_point> suspicion_;
  std::string suspected_;
  Clock::time_point deadline_;
};

}  // namespace braid::comm
