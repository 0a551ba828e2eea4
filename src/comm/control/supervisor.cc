#include "comm/control/supervisor.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "comm/control/tcp.h"

namespace braid::comm {
namespace {

// A consequence of a fault may be told before the fault itself is seen: how long to wait for that.
constexpr std::chrono::milliseconds kSuspicion{1000};
constexpr int kLook = 50;  // milliseconds between looks at what no socket tells

std::chrono::steady_clock::duration seconds(double count) {
  return std::chrono::duration_cast<std::chrono::steady_clock::duration>(
      std::chrono::duration<double>(count));
}

}  // namespace

Supervisor::Supervisor(const Node& node)
    : node_(node),
      ranks_(static_cast<size_t>(node.world)),
      connect_by_(Clock::now() + seconds(node.connect)) {}

Supervisor::~Supervisor() {
  for (Rank& rank : ranks_) {
    if (rank.pid > 0) {
      ::kill(rank.pid, SIGKILL);
      ::waitpid(rank.pid, nullptr, 0);
    }
    if (rank.socket >= 0) ::close(rank.socket);
  }
  for (const int socket : observers_) ::close(socket);
  if (listener_ >= 0) ::close(listener_);
}

Status Supervisor::start(const RankBody& body) {
  const bool alone = node_.address.empty();
  if (!alone) listener_ = TRY(listen_at(TRY(parse_host_port(node_.address))));
  for (int rank = 0; rank < node_.ranks; ++rank) {
    int ends[2] = {-1, -1};
    if (alone && ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
      return Error(ErrorKind::exhausted, "the ranks' processes could not be started")
          .with("call", "socketpair")
          .with("error", std::strerror(errno));
    }
    const auto connect = [&]() -> Result<int> {
      for (const Rank& other : ranks_) {
        if (other.socket >= 0) ::close(other.socket);
      }
      if (alone) {
        ::close(ends[0]);
        return ends[1];
      }
      ::close(listener_);
      return connect_to(TRY(parse_host_port(node_.address)),
                        std::chrono::milliseconds(static_cast<int64_t>(1e3 * node_.connect)));
    };
    const Result<Child> child = start_child(rank, connect, node_, body);
    if (alone) ::close(ends[1]);
    TRY(child.status());
    Rank& started = ranks_[static_cast<size_t>(rank)];
    started.pid = child->pid;
    if (alone) started = {.pid = child->pid, .socket = ends[0], .came = true};
  }
  return {};
}

bool Supervisor::ended() const {
  for (const Rank& rank : ranks_) {
    if (rank.socket >= 0 || (!rank.came && fault_.empty())) return false;
  }
  return true;
}

Result<std::string> Supervisor::serve() {
  while (!ended()) {
    if (!fault_.empty() && Clock::now() > deadline_) break;
    std::vector<pollfd> waiting;
    for (const Rank& rank : ranks_) {
      waiting.push_back({.fd = rank.socket, .events = POLLIN, .revents = 0});
    }
    waiting.push_back({.fd = listener_, .events = POLLIN, .revents = 0});
    ::poll(waiting.data(), waiting.size(), milliseconds_to_wait());
    for (size_t rank = 0; rank < ranks_.size(); ++rank) {
      if (ranks_[rank].socket >= 0 && waiting[rank].revents != 0) hear(rank);
    }
    if (waiting.back().revents != 0) welcome();
    check_time();
  }
  if (!fault_.empty()) return report();
  return outcome_;
}

int Supervisor::milliseconds_to_wait() const {
  bool look = !fault_.empty() || suspicion_.has_value();
  for (const Rank& rank : ranks_) look |= !rank.came || rank.patience.has_value();
  return look ? kLook : -1;
}

// What no message tells: somebody stays away.
void Supervisor::check_time() {
  if (!fault_.empty()) return;
  const Clock::time_point now = Clock::now();
  if (suspicion_ && now > *suspicion_) return declare_fault(suspected_);
  bool all_came = true;
  for (size_t index = 0; index < ranks_.size(); ++index) {
    const Rank& rank = ranks_[index];
    all_came &= rank.came;
    if (!rank.came && rank.pid > 0) bury_before_it_came(index);
    if (rank.waiting && rank.patience && now > *rank.patience) {
      return declare_fault(fmt::format("rank {} stays away from the others, which wait for it",
                                       missing([](const Rank& r) { return r.waiting; })));
    }
  }
  if (all_came || now < connect_by_ || !fault_.empty()) return;
  declare_fault(fmt::format("rank {} has not come to {} within {} s",
                            missing([](const Rank& r) { return r.came; }), node_.address,
                            node_.connect));
}

std::string Supervisor::missing(bool (*is_there)(const Rank&)) const {
  std::string text;
  for (size_t rank = 0; rank < ranks_.size(); ++rank) {
    if (!is_there(ranks_[rank])) text += fmt::format("{}{}", text.empty() ? "" : ", ", rank);
  }
  return text;
}

// Somebody has connected: a rank, another node, or a stranger, who is sent away.
void Supervisor::welcome() {
  const Result<int> socket = accept_from(listener_);
  if (!socket.ok()) return;
  const timeval soon{.tv_sec = 2, .tv_usec = 0};
  ::setsockopt(*socket, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon));
  const Result<Message> hello = receive_message(*socket);
  const timeval never{};
  ::setsockopt(*socket, SOL_SOCKET, SO_RCVTIMEO, &never, sizeof(never));
  const auto parts = hello.ok() && hello->kind == MessageKind::hello
                         ? unpack(hello->bytes)
                         : Result<std::vector<std::string>>(Error(ErrorKind::fault, "no hello"));
  if (!parts.ok() || parts->size() != 2) {
    ::close(*socket);
    return;
  }
  const int rank = std::atoi((*parts)[0].c_str()), world = std::atoi((*parts)[1].c_str());
  if (rank < 0) {
    observers_.push_back(*socket);
    if (!fault_.empty()) (void)send_message(*socket, MessageKind::fault, fault_);
    return;
  }
  const bool fits = world == node_.world && rank < world;
  if (!fits || ranks_[static_cast<size_t>(rank)].came) {
    const std::string why =
        fits ? fmt::format("two processes call themselves rank {}", rank)
             : fmt::format("rank {} counts {} ranks, the first node {}", rank, world, node_.world);
    (void)send_message(*socket, MessageKind::fault, why);
    ::close(*socket);
    return declare_fault(why);
  }
  Rank& come = ranks_[static_cast<size_t>(rank)];
  come.socket = *socket;
  come.came = true;
  if (!fault_.empty()) (void)send_message(*socket, MessageKind::fault, fault_);
}

void Supervisor::hear(size_t index) {
  Rank& rank = ranks_[index];
  Result<Message> message = receive_message(rank.socket);
  if (!message.ok()) return bury(index);
  switch (message->kind) {
    case MessageKind::success:
      rank.succeeded = true;
      if (index == 0) outcome_ = std::move(message->bytes);
      break;
    case MessageKind::fault: hear_fault(index, *message); break;
    case MessageKind::gather:
      rank.waiting = true;
      rank.part = std::move(message->bytes);
      rank.patience.reset();
      if (message->milliseconds > 0) {
        rank.patience = Clock::now() + std::chrono::milliseconds(message->milliseconds);
      }
      answer_gather();
      break;
    case MessageKind::hello: break;
  }
}

void Supervisor::hear_fault(size_t index, const Message& message) {
  const Result<ToldError> told = unpack_error(message.bytes);
  ranks_[index].said = told.ok() ? *told : ToldError{.text = told.error().to_string()};
  if (!fault_.empty()) return;
  const std::string what = fmt::format("rank {} failed", index);
  if (ranks_[index].said->consequence) {
    if (!suspicion_) suspected_ = what;
    if (!suspicion_) suspicion_ = Clock::now() + kSuspicion;
    return;
  }
  first_ = index;
  declare_fault(what);
}

void Supervisor::answer_gather() {
  std::vector<std::string> parts;
  for (size_t index = 0; index < ranks_.size(); ++index) {
    const Rank& rank = ranks_[index];
    if (rank.came && rank.socket < 0) return left_early(index);
    if (!rank.waiting) return;
    parts.push_back(rank.part);
  }
  const std::string packed = pack(parts);
  for (Rank& rank : ranks_) {
    rank.waiting = false;
    rank.patience.reset();
    (void)send_message(rank.socket, MessageKind::gather, packed);  // a dead rank is met elsewhere
  }
}

// The rank has closed its end: it is gone, or about to be.
void Supervisor::bury(size_t index) {
  Rank& rank = ranks_[index];
  ::close(rank.socket);
  rank.socket = -1;
  std::string how = "is gone: its connection has ended";
  if (rank.pid > 0) {
    int status = 0;
    ::waitpid(rank.pid, &status, 0);
    rank.pid = -1;
    how = how_it_ended(status);
  }
  if (rank.succeeded) {
    if (gathering()) left_early(index);
    return;
  }
  if (rank.said) return;  // its words are heard already
  rank.said = ToldError{.text = how};
  declare_fault(fmt::format("rank {} {}", index, how));
}

void Supervisor::bury_before_it_came(size_t index) {
  int status = 0;
  if (::waitpid(ranks_[index].pid, &status, WNOHANG) <= 0) return;
  ranks_[index].pid = -1;
  declare_fault(fmt::format("rank {} {}", index, how_it_ended(status)));
}

void Supervisor::left_early(size_t index) {
  declare_fault(fmt::format("rank {} ended while others wait for it", index));
}

bool Supervisor::gathering() const {
  for (const Rank& rank : ranks_) {
    if (rank.waiting) return true;
  }
  return false;
}

void Supervisor::declare_fault(std::string what) {
  if (!fault_.empty()) return;
  fault_ = std::move(what);
  deadline_ = Clock::now() + seconds(node_.grace);
  std::string told = fault_;
  if (first_) told += ": " + ranks_[*first_].said->text;
  for (const Rank& rank : ranks_) {
    if (rank.socket >= 0) (void)send_message(rank.socket, MessageKind::fault, told);
  }
  for (const int socket : observers_) (void)send_message(socket, MessageKind::fault, told);
}

Error Supervisor::report() const {
  if (first_ && ranks_[*first_].said->kind != ErrorKind::fault) {
    const ToldError& said = *ranks_[*first_].said;
    Error error(said.kind, said.text);
    return *first_ == 0 ? error : std::move(error).with("rank", *first_);
  }
  Error error(ErrorKind::fault, fault_);
  for (size_t rank = 0; rank < ranks_.size(); ++rank) {
    if (!ranks_[rank].said) continue;
    error = std::move(error).with(fmt::format("rank {}", rank), ranks_[rank].said->text);
  }
  return error;
}

}  // namespace braid::comm
