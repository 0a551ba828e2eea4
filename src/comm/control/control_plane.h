// The control plane: how ranks agree and how they learn of each other's faults. It carries small
// messages between a rank and whoever started it, never tensors.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace braid::comm {

// A rank's end of a socket to the process that started the ranks (processes.h). Not thread-safe.
class ControlPlane {
 public:
  // Takes over `socket`. Without peers (size 1) there may be none: -1.
  ControlPlane(int socket, int rank, int size) : socket_(socket), rank_(rank), size_(size) {}
  ~ControlPlane();
  ControlPlane(const ControlPlane&) = delete;
  ControlPlane& operator=(const ControlPlane&) = delete;

  int rank() const { return rank_; }
  int size() const { return size_; }

  // Every rank gives its bytes and gets those of all, in the order of ranks. Ranks call it equally
  // often. `fault` when a rank is lost.
  Result<std::vector<std::string>> all_gather(std::string_view bytes);
  // Returns when all ranks have called it.
  Status barrier();

  // Ok, or `fault` as soon as another rank is known to be lost. Never blocks.
  Status poll();

  // Tells what went wrong here and ends this process at once, without running destructors: a GPU
  // that hangs would never let them return.
  [[noreturn]] void fail(const Error& error);

 private:
  int socket_;
  int rank_;
  int size_;
};

}  // namespace braid::comm
