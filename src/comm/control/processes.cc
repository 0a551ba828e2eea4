#include "comm/control/processes.h"

#include <cstring>

#include "comm/control/end_signals.h"
#include "comm/control/outpost.h"
#include "comm/control/supervisor.h"

namespace braid::comm {

Result<Ended> run_node(const Node& node, const RankBody& body) {
  EndSignals signals;
  if (node.first_rank > 0) return Outpost(node, signals).run(body);
  Supervisor supervisor(node, signals);
  TRY(supervisor.start(body));
  return supervisor.serve();
}

Status run_processes(int ranks, const RankBody& body, double grace) {
  const Ended ended = TRY(run_node({.ranks = ranks, .world = ranks, .grace = grace}, body));
  if (ended.signal == 0) return {};
  return Error(ErrorKind::fault, "a signal has ended the ranks")
      .with("signal", strsignal(ended.signal));
}

}  // namespace braid::comm
