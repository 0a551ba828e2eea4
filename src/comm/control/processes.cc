#include "comm/control/processes.h"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "comm/control/message.h"

namespace braid::comm {
namespace {

using Clock = std::chrono::steady_clock;

Error system_error(std::string_view call) {
  return Error(ErrorKind::exhausted, "the ranks' processes could not be started")
      .with("call", call)
      .with("error", std::strerror(errno));
}

std::string how_it_ended(int status) {
  if (WIFSIGNALED(status)) {
    return fmt::format("died by signal {} ({})", WTERMSIG(status), strsignal(WTERMSIG(status)));
  }
  return fmt::format("ended with exit code {} before its work was done", WEXITSTATUS(status));
}

[[noreturn]] void run_rank(int socket, int rank, int size, pid_t parent,
                           const std::function<Status(ControlPlane&)>& body) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // no rank outlives who started it
  if (::getppid() != parent) ::_exit(1);
  int code = 0;
  {
    ControlPlane control(socket, rank, size);
    const Status status = body(control);
    if (!status.ok()) control.fail(status.error());
    code = send_message(socket, MessageKind::success, "").ok() ? 0 : 1;
  }
  std::fflush(nullptr);
  ::_exit(code);
}

// The launcher's side.
class Supervisor {
 public:
  explicit Supervisor(double grace) : grace_(grace) {}
  ~Supervisor() {
    for (Rank& rank : ranks_) {
      if (rank.pid > 0) {
        ::kill(rank.pid, SIGKILL);
        ::waitpid(rank.pid, nullptr, 0);
      }
      if (rank.socket >= 0) ::close(rank.socket);
    }
  }

  Status start(int size, const std::function<Status(ControlPlane&)>& body) {
    std::fflush(nullptr);  // or each child would write what is buffered once more
    const pid_t parent = ::getpid();
    for (int rank = 0; rank < size; ++rank) {
      int ends[2];
      if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        return system_error("socketpair");
      }
      const pid_t pid = ::fork();
      if (pid < 0) return system_error("fork");
      if (pid == 0) {
        ::close(ends[0]);
        for (const Rank& other : ranks_) ::close(other.socket);
        run_rank(ends[1], rank, size, parent, body);
      }
      ::close(ends[1]);
      ranks_.push_back({.pid = pid, .socket = ends[0]});
    }
    return {};
  }

  Status serve() {
    while (open_ranks() > 0) {
      if (!fault_.empty() && Clock::now() > deadline_) break;
      std::vector<pollfd> waiting;
      for (const Rank& rank : ranks_) {
        waiting.push_back({.fd = rank.socket, .events = POLLIN, .revents = 0});
      }
      ::poll(waiting.data(), waiting.size(), fault_.empty() ? -1 : 50);
      for (size_t rank = 0; rank < ranks_.size(); ++rank) {
        if (ranks_[rank].socket >= 0 && waiting[rank].revents != 0) hear(rank);
      }
    }
    if (fault_.empty()) return {};
    Error error(ErrorKind::fault, fault_);
    for (size_t rank = 0; rank < ranks_.size(); ++rank) {
      if (ranks_[rank].said.empty()) continue;
      error = std::move(error).with(fmt::format("rank {}", rank), ranks_[rank].said);
    }
    return error;
  }

 private:
  struct Rank {
    pid_t pid = -1;
    int socket = -1;
    bool succeeded = false;
    bool waiting = false;  // its part of a gather has come
    std::string part;
    std::string said;
  };

  int open_ranks() const {
    int count = 0;
    for (const Rank& rank : ranks_) count += rank.socket >= 0 ? 1 : 0;
    return count;
  }

  void hear(size_t index) {
    Rank& rank = ranks_[index];
    Result<Message> message = receive_message(rank.socket);
    if (!message.ok()) return bury(index);
    switch (message->kind) {
      case MessageKind::success: rank.succeeded = true; break;
      case MessageKind::fault:
        rank.said = std::move(message->bytes);
        declare_fault(fmt::format("rank {} failed", index));
        break;
      case MessageKind::gather:
        rank.waiting = true;
        rank.part = std::move(message->bytes);
        answer_gather();
    }
  }

  void answer_gather() {
    std::vector<std::string> parts;
    for (size_t index = 0; index < ranks_.size(); ++index) {
      const Rank& rank = ranks_[index];
      if (rank.socket < 0) return left_early(index);
      if (!rank.waiting) return;
      parts.push_back(rank.part);
    }
    const std::string packed = pack(parts);
    for (Rank& rank : ranks_) {
      rank.waiting = false;
      (void)send_message(rank.socket, MessageKind::gather, packed);  // a dead rank is met elsewhere
    }
  }

  // The rank has closed its end: it is gone, or about to be.
  void bury(size_t index) {
    Rank& rank = ranks_[index];
    ::close(rank.socket);
    rank.socket = -1;
    int status = 0;
    ::waitpid(rank.pid, &status, 0);
    rank.pid = -1;
    if (rank.succeeded) {
      if (gathering()) left_early(index);
      return;
    }
    if (rank.said.empty()) rank.said = how_it_ended(status);
    declare_fault(fmt::format("rank {} {}", index, how_it_ended(status)));
  }

  void left_early(size_t index) {
    declare_fault(fmt::format("rank {} ended while others wait for it", index));
  }

  bool gathering() const {
    for (const Rank& rank : ranks_) {
      if (rank.waiting) return true;
    }
    return false;
  }

  void declare_fault(std::string what) {
    if (!fault_.empty()) return;
    fault_ = std::move(what);
    deadline_ = Clock::now() +
                std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(grace_));
    for (const Rank& rank : ranks_) {
      if (rank.socket >= 0) (void)send_message(rank.socket, MessageKind::fault, fault_);
    }
  }

  double grace_;
  std::vector<Rank> ranks_;
  std::string fault_;
  Clock::time_point deadline_;
};

}  // namespace

Status run_processes(int ranks, const std::function<Status(ControlPlane&)>& body, double grace) {
  Supervisor supervisor(grace);
  TRY(supervisor.start(ranks, body));
  return supervisor.serve();
}

}  // namespace braid::comm
