#include "comm/control/children.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>

namespace braid::comm {
namespace {

using Clock = std::chrono::steady_clock;

// What waits for a stopped rank in a collective tells more: it comes first.
constexpr std::chrono::seconds kBehindCollectives{2};

std::chrono::milliseconds milliseconds_of(double seconds) {
  return std::chrono::milliseconds(static_cast<int64_t>(1e3 * seconds));
}

Status run_body(const RankBody& body, ControlPlane& control) {
  try {
    return body(control);
  } catch (const std::exception& thrown) {  // as a library throws it, or std::bad_alloc
    return Error(ErrorKind::exhausted, "a rank could not go on").with("error", thrown.what());
  }
}

[[noreturn]] void run_rank(int rank, const std::function<Result<int>()>& connect, const Node& node,
                           pid_t parent, const RankBody& body) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // no rank outlives who started it
  if (::getppid() != parent) ::_exit(1);
  // A terminal sends its SIGINT to all processes, but it is rank 0 that deals with it.
  std::signal(SIGINT, rank == 0 ? SIG_DFL : SIG_IGN);
  // And a service manager its SIGTERM.
  if (node.drains && rank > 0) std::signal(SIGTERM, SIG_IGN);
  std::signal(SIGPIPE, SIG_IGN);  // a closed connection is an error of the write
  const Result<int> socket = connect();
  if (!socket.ok()) {
    std::fprintf(stderr, "braid: rank %d: %s\n", rank, socket.error().to_string().c_str());
    ::_exit(1);
  }
  int code = 0;
  {
    ControlPlane control(*socket, rank, node.world, node.first_local + rank - node.first_rank);
    control.set_patience(milliseconds_of(node.patience));
    const Status status = run_body(body, control);
    if (!status.ok()) control.fail(status.error());
    code = control.succeed().ok() ? 0 : 1;
  }
  std::fflush(nullptr);
  ::_exit(code);
}

}  // namespace

std::string how_it_ended(int status) {
  if (WIFSIGNALED(status)) {
    return fmt::format("died by signal {} ({})", WTERMSIG(status), strsignal(WTERMSIG(status)));
  }
  return fmt::format("ended with exit code {} before its work was done", WEXITSTATUS(status));
}

void Child::look() {
  int now = 0;
  while (is_running() && ::waitpid(pid, &now, WNOHANG | WUNTRACED | WCONTINUED) == pid) {
    if (WIFSTOPPED(now)) {
      stopped = Clock::now();
    } else if (WIFCONTINUED(now)) {
      stopped.reset();
    } else {
      status = now;
      stopped.reset();
    }
  }
}

Result<Child> start_child(int rank, const std::function<Result<int>()>& connect, const Node& node,
                          EndSignals& signals, const RankBody& body) {
  std::fflush(nullptr);  // or each child would write what is buffered once more
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) {
    return Error(ErrorKind::exhausted, "the ranks' processes could not be started")
        .with("call", "fork")
        .with("error", std::strerror(errno))
        .remedy("Allow more processes (ulimit -u, a container's pids limit), or use fewer ranks.");
  }
  if (pid == 0) {
    signals.restore();
    run_rank(rank, connect, node, parent, body);
  }
  return Child{.rank = rank, .pid = pid, .status = {}, .stopped = {}};
}

void signal_children(const std::vector<Child*>& children, int signal) {
  for (const Child* child : children) {
    if (child->is_running()) ::kill(child->pid, signal);
  }
}

void kill_children(const std::vector<Child*>& children) {
  signal_children(children, SIGKILL);
  for (Child* child : children) {
    int status = 0;
    if (child->is_running() && ::waitpid(child->pid, &status, 0) == child->pid) {
      child->status = status;
    }
  }
}

std::optional<std::string> stopped_too_long(const std::vector<Child*>& children, const Node& node) {
  if (node.patience == 0) return std::nullopt;
  const auto since = Clock::now() - milliseconds_of(node.patience) - kBehindCollectives;
  for (const Child* child : children) {
    if (child->stopped && *child->stopped < since) {
      return fmt::format("rank {} is stopped", child->rank);
    }
  }
  return std::nullopt;
}

}  // namespace braid::comm
