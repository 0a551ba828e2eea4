// The side of the control plane that starts ranks and serves them: part of processes.h.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "comm/control/children.h"
#include "comm/control/listener.h"
#include "comm/control/message_stream.h"
#include "comm/control/waiting_line.h"

namespace braid::comm {

// Serves the control planes of all ranks: those of this node by socketpairs, or where there are
// several nodes all of them by TCP. It waits for nothing but poll(), and writes without waiting.
class Supervisor {
 public:
  Supervisor(const Node& node, EndSignals& signals);
  ~Supervisor();
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  Status start(const RankBody& body);
  // Serves until all ranks have ended, or the grace after a fault or a signal is over.
  Result<Ended> serve();

 private:
  using Clock = std::chrono::steady_clock;
  struct Rank {
    Child child;  // where it is of this node
    MessageStream stream;
    bool came = false;
    bool succeeded = false;
    bool ended = false;
    std::optional<Clock::time_point> closed;  // since when its connection has been
    Clock::time_point heard;                  // when it last gave a sign of life
    // A gather that it takes part in: since when, how long it waits for the others, its part.
    bool waiting = false;
    Clock::time_point since;
    std::chrono::milliseconds patience{0};
    std::string part;
    std::optional<ToldError> said;
  };

  Status listen();
  Status start_rank(int rank, const RankBody& body);
  bool all_ended() const;
  void wait_for_something();
  int milliseconds_to_wait() const;
  void take_signals();
  void end_by(int signal);
  void welcome();
  void admit(Listener::Guest guest);
  void close_when_all_came();
  void hear_launchers();
  void hear(size_t index);
  void take(size_t index, Message message);
  void hear_fault(size_t index, const Message& message);
  void answer_gather();
  void look_at_children();
  void end_of(size_t index, const std::string& how);
  void check_time();
  void check_gather(Clock::time_point now);
  bool gathering() const;
  std::string missing(bool (*is_there)(const Rank&)) const;
  void declare_fault(std::string what);
  Error report() const;
  std::vector<Child*> children();

  const Node node_;
  EndSignals& signals_;
  std::optional<SharedSecret> shared_secret_;
  std::string secret_;
  std::optional<Listener> listener_;
  std::vector<Rank> ranks_;
  std::map<int, MessageStream> launchers_;  // of other nodes, by their first ranks
  Clock::time_point connect_by_;
  std::unique_ptr<WaitingLine> line_;  // while a rank hasn't come
  std::string outcome_;
  bool interrupted_ = false;  // a signal has been passed on to rank 0
  int signal_ = 0;            // that ends the job
  std::string fault_;
  std::optional<size_t> first_;  // the rank whose own error the fault is
  // Set by the first consequence of a fault: when the fault is declared even without its cause.
  std::optional<Clock::time_point> suspicion_;
  std::string suspected_;
  Clock::time_point deadline_;  // of the grace, after a fault or a signal
  // Since when this process has run: time in which it was stopped is not held against a rank.
  Clock::time_point last_look_;
};

}  // namespace braid::comm
