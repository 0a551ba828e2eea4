// Where the ranks of a job of several nodes connect. Connections that prove the job's secret are
// accepted; all others are dropped without harm to the job.
#pragma once

#include <poll.h>

#include <chrono>
#include <list>
#include <string>
#include <vector>

#include "comm/control/hello.h"
#include "comm/control/message_stream.h"
#include "comm/control/tcp.h"

namespace braid::comm {

class Listener {
 public:
  // At most so many connections wait for their proof; a further one takes the place of the oldest.
  static constexpr size_t kMostUnproven = 64;
  // How long the proof may take.
  static constexpr std::chrono::seconds kProofTime{5};

  static Result<Listener> open(const HostPort& address, std::string secret);
  Listener(Listener&& other) noexcept;
  Listener& operator=(Listener&&) = delete;
  ~Listener() { close(); }

  void set_secret(std::string secret) { secret_ = std::move(secret); }
  // No further connection is taken, and those without a proof end.
  void close();
  bool is_open() const { return socket_ >= 0; }

  // Adds what to poll() for.
  void add_to(std::vector<pollfd>& waiting) const;

  // Newcomers that have proven the secret since the last look. Their welcome is still to be sent.
  struct Guest {
    Hello hello;
    std::string welcome;
    MessageStream stream;
  };
  std::vector<Guest> look();

  int64_t turned_away() const { return turned_away_; }

 private:
  struct Unproven {
    MessageStream stream;
    std::string challenge;
    std::chrono::steady_clock::time_point since;
  };
  Listener() = default;
  void accept_all();
  bool make_room();

  int socket_ = -1;
  std::string secret_;
  std::list<Unproven> unproven_;  // the oldest first
  int64_t turned_away_ = 0;
  std::chrono::steady_clock::time_point pause_;  // no connection is taken until then
};

}  // namespace braid::comm
