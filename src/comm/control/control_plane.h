// The control plane: how ranks agree and how they learn of each other's faults. It carries small
// messages between a rank and the process that started it, never tensors.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace braid::comm {

// The error of a rank that had to stop because another one is lost. Its value "cause" says what
// the rank knows about the other one.
inline constexpr std::string_view kCause = "cause";
Error lost_rank(std::string_view cause);

// A rank's end of a socket to the process that started the ranks (processes.h). Not thread-safe.
class ControlPlane {
 public:
  // Takes over `socket`. Without peers (size 1) there may be none: -1. `local_rank`: the rank among
  // those of its host.
  ControlPlane(int socket, int rank, int size, int local_rank = 0)
      : socket_(socket), rank_(rank), size_(size), local_rank_(local_rank) {}
  ~ControlPlane();
  ControlPlane(const ControlPlane&) = delete;
  ControlPlane& operator=(const ControlPlane&) = delete;

  int rank() const { return rank_; }
  int size() const { return size_; }
  int local_rank() const { return local_rank_; }

  // Every rank gives its bytes and gets those of all, in the order of ranks. Ranks call it equally
  // often. `fault` when a rank is lost, or when it neither comes nor says that it is alive for
  // longer than `timeout` (kForever: no limit). The default timeout is set by set_patience().
  static constexpr std::chrono::milliseconds kForever{0};
  Result<std::vector<std::string>> all_gather(std::string_view bytes,
                                              std::chrono::milliseconds timeout);
  Result<std::vector<std::string>> all_gather(std::string_view bytes) {
    return all_gather(bytes, patience_);
  }
  void set_patience(std::chrono::milliseconds patience) { patience_ = patience; }
  // Returns when all ranks have called it.
  Status barrier();

  // Tells the ranks that wait for this one that it still makes progress. Cheap: sends a message a
  // second at most. Any thread may call it while none calls the others.
  void alive();

  // Ok, or `fault` as soon as another rank is known to be lost. Never blocks.
  Status poll();

  // The address of this host on the way to the host of rank 0, as other hosts can reach it;
  // 127.0.0.1 where all ranks are on one host.
  Result<std::string> address() const;

  // What run_node() returns on all nodes when all ranks have ended well; rank 0's counts.
  void conclude(std::string outcome) { outcome_ = std::move(outcome); }
  const std::string& outcome() const { return outcome_; }

  // Says goodbye: all work is done.
  Status succeed();
  // Reports what went wrong and ends this process at once, without running destructors: a GPU
  // that hangs would never let them return.
  [[noreturn]] void fail(const Error& error);

 private:
  int socket_;
  int rank_;
  int size_;
  int local_rank_;
  Status lost_;  // what was told: nothing else comes behind it
  std::string outcome_;
  std::chrono::milliseconds patience_ = kForever;
  std::atomic<int64_t> next_alive_ = 0;  // in nanoseconds of the steady clock
};

}  // namespace braid::comm
