#include "comm/control/processes.h"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "comm/control/supervisor.h"
#include "comm/control/tcp.h"

namespace braid::comm {
namespace {

using Clock = std::chrono::steady_clock;

std::chrono::milliseconds connect_time(const Node& node) {
  return std::chrono::milliseconds(static_cast<int64_t>(1e3 * node.connect));
}

[[noreturn]] void run_rank(int rank, const std::function<Result<int>()>& connect, const Node& node,
                           pid_t parent, const RankBody& body) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // no rank outlives who started it
  if (::getppid() != parent) ::_exit(1);
  if (rank == 0) std::signal(SIGINT, SIG_DFL);
  std::signal(SIGPIPE, SIG_IGN);  // a closed connection is an error of the write
  const Result<int> socket = connect();
  if (!socket.ok()) {
    std::fprintf(stderr, "braid: rank %d: %s\n", rank, socket.error().to_string().c_str());
    ::_exit(1);
  }
  int code = 0;
  {
    ControlPlane control(*socket, rank, node.world, node.first_local + rank - node.first_rank);
    if (!node.address.empty()) {
      (void)send_message(*socket, MessageKind::hello,
                         pack({fmt::format("{}", rank), fmt::format("{}", node.world)}));
    }
    const Status status = body(control);
    if (!status.ok()) control.fail(status.error());
    code = control.succeed().ok() ? 0 : 1;
  }
  std::fflush(nullptr);
  ::_exit(code);
}

// The children of a node that has not rank 0: they speak with that of rank 0 themselves.
class Outpost {
 public:
  explicit Outpost(const Node& node) : node_(node) {}
  ~Outpost() {
    for (const Child& child : children_) {
      ::kill(child.pid, SIGKILL);
      ::waitpid(child.pid, nullptr, 0);
    }
    if (socket_ >= 0) ::close(socket_);
  }

  Status start(const RankBody& body) {
    const HostPort address = TRY(parse_host_port(node_.address));
    // First of all: once its ranks have come and gone, nobody listens any more.
    socket_ = TRY(connect_to(address, connect_time(node_)));
    TRY(send_message(socket_, MessageKind::hello, pack({"-1", fmt::format("{}", node_.world)})));
    for (int rank = node_.first_rank; rank < node_.first_rank + node_.ranks; ++rank) {
      const auto connect = [&] { return connect_to(address, connect_time(node_)); };
      children_.push_back(TRY(start_child(rank, connect, node_, body)));
    }
    return {};
  }

  // Until all children have ended, or the grace after a fault is over.
  Status watch() {
    while (!children_.empty() && !(fault_ && Clock::now() > deadline_)) {
      pollfd waiting{.fd = socket_, .events = POLLIN, .revents = 0};
      ::poll(&waiting, 1, 20);
      if (socket_ >= 0 && waiting.revents != 0) hear();
      std::erase_if(children_, [this](const Child& child) { return has_ended(child); });
    }
    if (!worst_.ok()) return worst_;
    if (children_.empty()) return {};
    return Error(ErrorKind::fault, "the node of rank 0 is gone")
        .with("first rank", node_.first_rank);
  }

 private:
  void hear() {
    const Result<Message> message = receive_message(socket_);
    if (message.ok() && message->kind == MessageKind::fault) fail(lost_rank(message->bytes));
    ::close(socket_);
    socket_ = -1;
    end_soon();
  }
  bool has_ended(const Child& child) {
    int status = 0;
    if (::waitpid(child.pid, &status, WNOHANG) <= 0) return false;
    if (status != 0) {
      fail(Error(ErrorKind::fault, fmt::format("rank {} {}", child.rank, how_it_ended(status)))
               .remedy("The node of rank 0 says why."));
    }
    return true;
  }
  void fail(const Error& why) {
    if (worst_.ok()) worst_ = why;
    end_soon();
  }
  void end_soon() {
    if (!fault_) {
      deadline_ = Clock::now() + std::chrono::milliseconds(static_cast<int64_t>(1e3 * node_.grace));
    }
    fault_ = true;
  }

  const Node node_;
  int socket_ = -1;
  std::vector<Child> children_;
  bool fault_ = false;
  Status worst_;
  Clock::time_point deadline_;
};

// While ranks run, Ctrl-C is rank 0's to deal with.
class WithoutInterrupts {
 public:
  WithoutInterrupts() : before_(std::signal(SIGINT, SIG_IGN)) {}
  ~WithoutInterrupts() { std::signal(SIGINT, before_); }
  WithoutInterrupts(const WithoutInterrupts&) = delete;
  WithoutInterrupts& operator=(const WithoutInterrupts&) = delete;

 private:
  void (*before_)(int);
};

}  // namespace

std::string how_it_ended(int status) {
  if (WIFSIGNALED(status)) {
    return fmt::format("died by signal {} ({})", WTERMSIG(status), strsignal(WTERMSIG(status)));
  }
  return fmt::format("ended with exit code {} before its work was done", WEXITSTATUS(status));
}

Result<Child> start_child(int rank, const std::function<Result<int>()>& connect, const Node& node,
                          const RankBody& body) {
  std::fflush(nullptr);  // or each child would write what is buffered once more
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) {
    return Error(ErrorKind::exhausted, "the ranks' processes could not be started")
        .with("call", "fork")
        .with("error", std::strerror(errno));
  }
  if (pid == 0) run_rank(rank, connect, node, parent, body);
  return Child{rank, pid};
}

Result<std::string> run_node(const Node& node, const RankBody& body) {
  const WithoutInterrupts without;
  if (node.first_rank > 0) {
    Outpost outpost(node);
    TRY(outpost.start(body));
    TRY(outpost.watch());
    return std::string();
  }
  Supervisor supervisor(node);
  TRY(supervisor.start(body));
  return supervisor.serve();
}

Status run_processes(int ranks, const RankBody& body, double grace) {
  return run_node({.ranks = ranks, .world = ranks, .grace = grace}, body).status();
}

}  // namespace braid::comm
