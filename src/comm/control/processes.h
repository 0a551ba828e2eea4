// Ranks as processes: started, watched, and their control plane served.
#pragma once

#include <functional>

#include "base/log.h"
#include "comm/control/control_plane.h"
#include "comm/control/job_secret.h"

namespace braid::comm {

// The part of the ranks that this process starts: all of them, or those of one of several nodes.
struct Node {
  int first_rank = 0;
  int first_local = 0;   // the place of its first rank among those of its host
  int ranks = 1;         // here
  int world = 1;         // on all nodes
  std::string address;   // HOST:PORT at which the node of rank 0 listens; empty: there is one node
  JobSecret secret;      // of several nodes: without it no connection is accepted
  double connect = 300;  // seconds until all ranks must have come
  double patience = 0;   // seconds that a rank may keep the others waiting, or be stopped; 0: ever
  double grace = 3.0;    // seconds from a fault or a signal to the end of all processes
  Console* console = nullptr;  // is told which ranks this waits for
  // SIGTERM, too, is passed on to rank 0 alone, which concludes in good order.
  bool drains = false;
};

// How a node ended when there was no error.
struct Ended {
  std::string outcome;  // what rank 0 concluded with
  int signal = 0;       // SIGINT, SIGTERM or SIGHUP, where one has ended the job
};

using RankBody = std::function<Status(ControlPlane&)>;

// Runs `body` in a child process a rank of this node until all ranks have ended; on the node of
// rank 0 serves the control plane of all. The caller must not have started threads or touched a GPU
// before. A rank that fails, dies or ends early is a fault of the whole: the others are told, have
// the grace to say what they were doing, and are then killed. The message of the error is the
// cause; its values are what each rank said, without consequences of the cause. An error of a rank
// that is not a `fault` is returned unchanged.
//
// SIGTERM and SIGHUP end all ranks of all nodes. SIGINT is passed on to rank 0, which may note it
// and conclude in good order; where rank 0 dies of it, all end. See also Node::drains.
Result<Ended> run_node(const Node& node, const RankBody& body);

// The same for ranks of one host. A signal is an error.
Status run_processes(int ranks, const RankBody& body, double grace = 3.0);

}  // namespace braid::comm
