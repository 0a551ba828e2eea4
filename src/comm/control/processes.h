// Ranks as processes: started, watched, and their control plane served.
#pragma once

#include <functional>

#include "comm/control/control_plane.h"

namespace braid::comm {

// The part of the ranks that this process starts: all of them, or those of one of several nodes.
struct Node {
  int first_rank = 0;
  int first_local = 0;   // the place of its first rank among those of its host
  int ranks = 1;         // here
  int world = 1;         // on all nodes
  std::string address;   // HOST:PORT at which the node of rank 0 listens; empty: there is one node
  double connect = 300;  // seconds until all ranks must have come
  double grace = 3.0;    // seconds from a fault to the end of all processes
};

using RankBody = std::function<Status(ControlPlane&)>;

// Runs `body` in a child process a rank of this node until all ranks have ended; on the node of
// rank 0 serves the control plane of all. The caller must not have started threads or touched a GPU
// before. A rank that fails, dies or ends early is a fault of the whole: the others are told, have
// the grace to say what they were doing, and are then killed. Returns what rank 0 concluded with
// (on other nodes nothing); or the first error, with what each rank said, where it is no
// consequence of another. A rank's error of another kind than `fault` comes as it is.
Result<std::string> run_node(const Node& node, const RankBody& body);

// The same for ranks of one host.
Status run_processes(int ranks, const RankBody& body, double grace = 3.0);

}  // namespace braid::comm
