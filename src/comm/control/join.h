// How ranks and launchers of other nodes come to the first node.
#pragma once

#include <chrono>

#include "base/log.h"
#include "comm/control/end_signals.h"
#include "comm/control/hello.h"
#include "comm/control/job_secret.h"
#include "comm/control/tcp.h"

namespace braid::comm {

struct JoinOptions {
  HostPort address;
  JobSecret secret;
  Hello hello;
  std::chrono::milliseconds timeout{};
  Console* console = nullptr;     // is told which ranks this waits for
  EndSignals* signals = nullptr;  // end the waiting
};

// A connection on which both ends have proven the secret, and the secret; or the signal that has
// ended the waiting.
struct Joined {
  int socket = -1;
  std::string secret;
  int signal = 0;
};
// Tried again until the timeout while no answer comes, or answers break off. `fault` then, or when
// the first node has another secret.
Result<Joined> join(const JoinOptions& options);

}  // namespace braid::comm
