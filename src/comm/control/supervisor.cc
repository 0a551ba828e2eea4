#include "comm/control/supervisor.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "comm/control/join.h"

namespace braid::comm {
namespace {

// A consequence of a fault may be told before the fault itself is seen: how long to wait for that.
constexpr std::chrono::milliseconds kSuspicion{1000};
// A message that has begun must be whole by then.
constexpr std::chrono::seconds kMessageTime{60};
// A process that has closed its connection must have ended by then.
constexpr std::chrono::seconds kEndTime{10};
// Milliseconds between looks at what no socket tells: while nothing is amiss, while a rank is
// missed or waits, and while a process is about to end.
constexpr int kSeldom = 200, kOften = 50, kSoon = 5;

std::chrono::steady_clock::duration seconds(double count) {
  return std::chrono::duration_cast<std::chrono::steady_clock::duration>(
      std::chrono::duration<double>(count));
}

std::chrono::milliseconds milliseconds_of(double count) {
  return std::chrono::milliseconds(static_cast<int64_t>(1e3 * count));
}

}  // namespace

Supervisor::Supervisor(const Node& node, EndSignals& signals)
    : node_(node),
      signals_(signals),
      ranks_(static_cast<size_t>(node.world)),
      connect_by_(Clock::now() + seconds(node.connect)),
      line_(std::make_unique<WaitingLine>(node.console, milliseconds_of(node.connect))),
      last_look_(Clock::now()) {}

Supervisor::~Supervisor() { kill_children(children()); }

std::vector<Child*> Supervisor::children() {
  std::vector<Child*> all;
  for (Rank& rank : ranks_) all.push_back(&rank.child);
  return all;
}

Status Supervisor::start(const RankBody& body) {
  if (!node_.address.empty()) TRY(listen());
  for (int rank = 0; rank < node_.ranks; ++rank) TRY(start_rank(rank, body));
  return {};
}

// Listens first: who could not would leave others a secret of a job that never begins.
Status Supervisor::listen() {
  const HostPort address = TRY(parse_host_port(node_.address));
  secret_ = node_.secret.text;
  BRAID_CHECK(!secret_.empty() || !node_.secret.shared_file.empty(), "(several nodes, no secret)");
  const bool shared = secret_.empty();
  Listener probe = TRY(Listener::open(address, shared ? make_challenge() : secret_));
  if (shared) {
    shared_secret_.emplace(TRY(SharedSecret::make(node_.secret.shared_file)));
    secret_ = shared_secret_->text();
    probe.set_secret(secret_);
  }
  listener_.emplace(std::move(probe));
  return {};
}

Status Supervisor::start_rank(int rank, const RankBody& body) {
  const bool alone = node_.address.empty();
  int ends[2] = {-1, -1};
  if (alone && ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return Error(ErrorKind::exhausted, "the ranks' processes could not be started")
        .with("call", "socketpair")
        .with("error", std::strerror(errno))
        .remedy("Allow more open files (ulimit -n), or use fewer ranks.");
  }
  const auto connect = [&]() -> Result<int> {
    for (Rank& other : ranks_) other.stream.close();
    if (alone) {
      ::close(ends[0]);
      return ends[1];
    }
    listener_->close();
    return TRY(join({.address = TRY(parse_host_port(node_.address)),
                     .secret = {.text = secret_, .shared_file = {}},
                     .hello = {.launcher = false, .rank = rank, .world = node_.world},
                     .timeout = milliseconds_of(node_.connect)}))
        .socket;
  };
  Result<Child> child = start_child(rank, connect, node_, signals_, body);
  if (alone) ::close(ends[1]);
  Rank& started = ranks_[static_cast<size_t>(rank)];
  if (alone) started.stream = MessageStream(ends[0]);
  started.came = alone;
  started.child = TRY(std::move(child));
  return {};
}

bool Supervisor::all_ended() const {
  return std::all_of(ranks_.begin(), ranks_.end(), [this](const Rank& rank) {
    const bool never_came = !rank.came && !rank.child.is_running();
    return rank.ended || (never_came && (!fault_.empty() || signal_ != 0));
  });
}

Result<Ended> Supervisor::serve() {
  while (!all_ended()) {
    const bool ending = !fault_.empty() || signal_ != 0;
    if (ending && Clock::now() > deadline_) break;
    wait_for_something();
    take_signals();
    welcome();
    hear_launchers();
    look_at_children();
    check_time();
  }
  take_signals();
  if (signal_ != 0) return Ended{.outcome = {}, .signal = signal_};
  if (!fault_.empty()) return report();
  for (auto& [first, stream] : launchers_) stream.send(MessageKind::success, outcome_);
  return Ended{.outcome = outcome_};
}

void Supervisor::wait_for_something() {
  std::vector<pollfd> waiting;
  for (const Rank& rank : ranks_) {
    waiting.push_back({.fd = rank.stream.socket(), .events = rank.stream.events(), .revents = 0});
  }
  waiting.push_back({.fd = signals_.readable(), .events = POLLIN, .revents = 0});
  for (const auto& [first, stream] : launchers_) {
    waiting.push_back({.fd = stream.socket(), .events = stream.events(), .revents = 0});
  }
  if (listener_) listener_->add_to(waiting);
  const int patience = milliseconds_to_wait();
  ::poll(waiting.data(), waiting.size(), patience);
  // When this process was stopped (Ctrl-Z), so were the ranks: no rank was late.
  const Clock::time_point now = Clock::now();
  const auto lost = now - last_look_ - std::chrono::seconds(5);
  last_look_ = now;
  for (size_t index = 0; index < ranks_.size(); ++index) {
    Rank& rank = ranks_[index];
    if (lost.count() > 0) rank.since = rank.heard = now;
    if (lost.count() > 0 && rank.child.stopped) rank.child.stopped = now;
    if (rank.stream.is_open() && waiting[index].revents != 0) hear(index);
  }
}

int Supervisor::milliseconds_to_wait() const {
  bool often = !fault_.empty() || signal_ != 0 || suspicion_.has_value();
  for (const Rank& rank : ranks_) {
    if (rank.closed && !rank.ended) return kSoon;
    often |= !rank.came || (rank.waiting && rank.patience.count() > 0) || rank.child.stopped;
  }
  return often ? kOften : kSeldom;
}

void Supervisor::take_signals() {
  while (const int signal = signals_.take()) {
    const bool passed_on = signal == SIGINT || (signal == SIGTERM && node_.drains);
    if (!passed_on) {
      end_by(signal);
    } else if (ranks_[0].child.is_running()) {
      interrupted_ = true;
      ::kill(ranks_[0].child.pid, signal);
    }
  }
}

void Supervisor::end_by(int signal) {
  if (signal_ != 0) return;
  signal_ = signal;
  deadline_ = Clock::now() + seconds(node_.grace);
  signal_children(children(), SIGTERM);
  signal_children(children(), SIGCONT);  // a stopped process dies, too
  for (auto& [first, stream] : launchers_) {
    stream.send(MessageKind::ended, fmt::format("{}", signal));
  }
}

void Supervisor::welcome() {
  if (!listener_ || !listener_->is_open()) return;
  for (Listener::Guest& guest : listener_->look()) admit(std::move(guest));
  close_when_all_came();
}

// A newcomer that knows the secret. One that is there already stays: the new one may be a mistake
// or a second life of what was recorded, and is sent away.
void Supervisor::admit(Listener::Guest guest) {
  const Hello& hello = guest.hello;
  if (hello.world != node_.world || hello.rank >= node_.world) {
    const std::string why = fmt::format("rank {} counts {} ranks, the first node {}", hello.rank,
                                        hello.world, node_.world);
    guest.stream.send(MessageKind::fault, why);
    return declare_fault(why);
  }
  const bool there = hello.launcher ? launchers_.count(hello.rank) > 0
                                    : ranks_[static_cast<size_t>(hello.rank)].came;
  if (there) {
    guest.stream.send(MessageKind::fault, fmt::format("rank {} has come already", hello.rank));
    return;
  }
  guest.stream.send(MessageKind::welcome, std::move(guest.welcome));
  if (!fault_.empty()) guest.stream.send(MessageKind::fault, fault_);
  if (hello.launcher) {
    launchers_[hello.rank] = std::move(guest.stream);
    return;
  }
  Rank& come = ranks_[static_cast<size_t>(hello.rank)];
  come.stream = std::move(guest.stream);
  come.came = true;
  come.heard = Clock::now();
}

void Supervisor::close_when_all_came() {
  if (!std::all_of(ranks_.begin(), ranks_.end(), [](const Rank& rank) { return rank.came; })) {
    return;
  }
  listener_->close();
  shared_secret_.reset();
  line_.reset();
}

// Launchers of other nodes tell what no rank can tell.
void Supervisor::hear_launchers() {
  for (auto& [first, stream] : launchers_) {
    if (!stream.is_open()) continue;
    stream.flush();
    const Result<std::optional<Message>> message = stream.receive();
    if (message.ok() && !message->has_value()) continue;
    if (message.ok() && (*message)->kind == MessageKind::fault) declare_fault((*message)->bytes);
    if (message.ok() && (*message)->kind == MessageKind::ended) {
      const int signal = std::atoi((*message)->bytes.c_str());
      if (signal > 0 && signal < 128) end_by(signal);
    }
    if (!message.ok()) stream.close();
  }
}

void Supervisor::hear(size_t index) {
  Rank& rank = ranks_[index];
  rank.stream.flush();
  Result<std::optional<Message>> message = rank.stream.receive();
  if (message.ok()) {
    if (message->has_value()) take(index, std::move(**message));
    return;
  }
  rank.stream.close();
  rank.closed = Clock::now();
  if (rank.child.pid <= 0) end_of(index, "is gone: its connection has ended");
}

void Supervisor::take(size_t index, Message message) {
  Rank& rank = ranks_[index];
  rank.heard = Clock::now();
  switch (message.kind) {
    case MessageKind::success:
      rank.succeeded = true;
      if (index == 0) outcome_ = std::move(message.bytes);
      break;
    case MessageKind::fault: hear_fault(index, message); break;
    case MessageKind::gather:
      rank.waiting = true;
      rank.part = std::move(message.bytes);
      rank.since = rank.heard;
      rank.patience = std::chrono::milliseconds(message.milliseconds);
      answer_gather();
      break;
    default: break;  // alive: it was heard
  }
}

void Supervisor::hear_fault(size_t index, const Message& message) {
  const Result<ToldError> told = unpack_error(message.bytes);
  Rank& rank = ranks_[index];
  const std::string none = told.ok() ? "" : told.error().message();
  rank.said = told.ok() ? *told : ToldError{.message = none, .text = none};
  if (!fault_.empty()) return;
  if (rank.said->consequence) {
    if (!suspicion_) suspected_ = fmt::format("rank {} has lost another rank", index);
    if (!suspicion_) suspicion_ = Clock::now() + kSuspicion;
    return;
  }
  first_ = index;
  const std::string& what = rank.said->message;
  declare_fault(what.starts_with("rank ") ? what : fmt::format("rank {}: {}", index, what));
}

void Supervisor::answer_gather() {
  std::vector<std::string> parts;
  for (size_t index = 0; index < ranks_.size(); ++index) {
    const Rank& rank = ranks_[index];
    if (rank.came && rank.closed && rank.succeeded) {
      return declare_fault(fmt::format("rank {} ended while others wait for it", index));
    }
    if (!rank.waiting) return;
    parts.push_back(rank.part);
  }
  const auto packed = std::make_shared<const std::string>(pack(parts));
  for (Rank& rank : ranks_) {
    rank.waiting = false;
    rank.part = {};
    rank.stream.send(MessageKind::gather, packed);  // a dead rank is met elsewhere
  }
}

void Supervisor::look_at_children() {
  const Clock::time_point now = Clock::now();
  for (size_t index = 0; index < ranks_.size(); ++index) {
    Rank& rank = ranks_[index];
    if (rank.child.pid <= 0 || rank.ended) continue;
    rank.child.look();
    // What it said before it ended is heard first.
    const bool heard_out = rank.closed || !rank.came;
    if (rank.child.status && heard_out) end_of(index, how_it_ended(*rank.child.status));
    if (!rank.child.status && rank.closed && now - *rank.closed > kEndTime) {
      end_of(index, "has closed its connection, but does not end");
    }
  }
}

// The rank is gone.
void Supervisor::end_of(size_t index, const std::string& how) {
  Rank& rank = ranks_[index];
  rank.ended = true;
  if (index == 0 && interrupted_ && rank.child.status && WIFSIGNALED(*rank.child.status)) {
    return end_by(WTERMSIG(*rank.child.status));
  }
  if (rank.succeeded) {
    if (gathering()) answer_gather();
    return;
  }
  if (rank.said) return;  // its words are heard already
  rank.said = ToldError{.message = how, .text = how};
  declare_fault(fmt::format("rank {} {}", index, how));
}

// What no message tells: a rank stays away.
void Supervisor::check_time() {
  if (!fault_.empty() || signal_ != 0) return;
  const Clock::time_point now = Clock::now();
  if (suspicion_ && now > *suspicion_) return declare_fault(suspected_);
  if (const auto stopped = stopped_too_long(children(), node_)) return declare_fault(*stopped);
  check_gather(now);
  for (size_t index = 0; index < ranks_.size(); ++index) {
    const auto begun = ranks_[index].stream.part_since();
    if (ranks_[index].stream.is_open() && begun && now - *begun > kMessageTime) {
      return declare_fault(fmt::format("rank {} has begun a message and does not end it", index));
    }
  }
  const std::string away = missing([](const Rank& rank) { return rank.came; });
  if (away.empty() || !fault_.empty()) return;
  if (line_) line_->show(fmt::format("{} at {}", away, node_.address));
  if (now < connect_by_) return;
  const int64_t strangers = listener_ ? listener_->turned_away() : 0;
  declare_fault(fmt::format("{} did not come to {} within {} s{}", away, node_.address,
                            node_.connect,
                            strangers == 0 ? ""
                                           : fmt::format("; {} connections without the job's "
                                                         "secret were turned away",
                                                         strangers)));
}

// A rank that others wait for is late when neither it nor its signs of life came in time.
void Supervisor::check_gather(Clock::time_point now) {
  if (!missing([](const Rank& rank) { return rank.came; }).empty()) return;  // missed otherwise
  for (const Rank& waiting : ranks_) {
    if (!waiting.waiting || waiting.patience.count() == 0) continue;
    for (const Rank& rank : ranks_) {
      if (rank.waiting || now - std::max(waiting.since, rank.heard) <= waiting.patience) continue;
      return declare_fault(fmt::format("{} kept the others waiting for too long",
                                       missing([](const Rank& r) { return r.waiting; })));
    }
  }
}

bool Supervisor::gathering() const {
  return std::any_of(ranks_.begin(), ranks_.end(), [](const Rank& rank) { return rank.waiting; });
}

// "rank 1", "ranks 1, 3"; nothing where all are there.
std::string Supervisor::missing(bool (*is_there)(const Rank&)) const {
  std::vector<size_t> away;
  for (size_t rank = 0; rank < ranks_.size(); ++rank) {
    if (!is_there(ranks_[rank])) away.push_back(rank);
  }
  std::string text = away.empty() ? "" : away.size() == 1 ? "rank" : "ranks";
  for (size_t i = 0; i < away.size(); ++i) text += fmt::format("{} {}", i > 0 ? "," : "", away[i]);
  return text;
}

void Supervisor::declare_fault(std::string what) {
  if (!fault_.empty() || signal_ != 0) return;
  for (Rank& rank : ranks_) {
    rank.child.look();
    if (!rank.child.stopped || what == fmt::format("rank {} is stopped", rank.child.rank)) continue;
    // A rank that misses a stopped one does not know why.
    first_.reset();
    what = fmt::format("rank {} is stopped", rank.child.rank);
  }
  fault_ = std::move(what);
  deadline_ = Clock::now() + seconds(node_.grace);
  const auto told = std::make_shared<const std::string>(fault_);
  for (Rank& rank : ranks_) rank.stream.send(MessageKind::fault, told);
  for (auto& [first, stream] : launchers_) stream.send(MessageKind::fault, told);
}

Error Supervisor::report() const {
  if (first_ && ranks_[*first_].said->kind != ErrorKind::fault) {
    const ToldError& said = *ranks_[*first_].said;
    Error error(said.kind, said.text);
    return *first_ == 0 ? error : std::move(error).with("rank", *first_);
  }
  Error error(ErrorKind::fault, fault_);
  std::vector<std::string> told;
  for (size_t rank = 0; rank < ranks_.size(); ++rank) {
    if (!ranks_[rank].said) continue;
    const std::string& text = ranks_[rank].said->text;
    const bool known = text == lost_rank("").message() || fault_ == text ||
                       fault_ == fmt::format("rank {} {}", rank, text) ||
                       std::find(told.begin(), told.end(), text) != told.end();
    if (known) continue;
    told.push_back(text);
    error = std::move(error).with(fmt::format("rank {}", rank), text);
  }
  return error;
}

}  // namespace braid::comm
