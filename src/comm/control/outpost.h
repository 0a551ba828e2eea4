// The launcher of a node without rank 0: part of processes.h.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "comm/control/children.h"
#include "comm/control/message_stream.h"

namespace braid::comm {

// Its children talk to the node of rank 0 themselves. The launcher tells that node when a child is
// stopped or a signal has come; that node tells it when the job has failed.
class Outpost {
 public:
  Outpost(const Node& node, EndSignals& signals) : node_(node), signals_(signals) {}
  ~Outpost();
  Outpost(const Outpost&) = delete;
  Outpost& operator=(const Outpost&) = delete;

  Result<Ended> run(const RankBody& body);

 private:
  using Clock = std::chrono::steady_clock;

  Status start(const RankBody& body);
  // Serves until all children have ended, or the grace after a fault is over.
  Result<Ended> watch();
  bool all_ended() const;
  void take_signals();
  void hear();
  void look_at_children();
  void fail(const Error& why);
  void end_by(int signal);
  std::vector<Child*> children();

  const Node& node_;
  EndSignals& signals_;
  MessageStream stream_;
  std::vector<Child> children_;
  int signal_ = 0;                      // that has ended the job
  Status told_;                         // by the first node: the cause
  Status worst_;                        // seen here: perhaps a consequence
  std::optional<std::string> outcome_;  // of the job, when it has ended well
  bool told_stopped_ = false;
  std::optional<Clock::time_point> deadline_;  // of the grace
};

}  // namespace braid::comm
