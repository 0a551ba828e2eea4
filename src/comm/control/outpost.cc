#include "comm/control/outpost.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "comm/control/join.h"

namespace braid::comm {
namespace {

constexpr int kLook = 20;  // milliseconds between looks at the children

std::chrono::milliseconds milliseconds_of(double seconds) {
  return std::chrono::milliseconds(static_cast<int64_t>(1e3 * seconds));
}

}  // namespace

Outpost::~Outpost() { kill_children(children()); }

std::vector<Child*> Outpost::children() {
  std::vector<Child*> all;
  for (Child& child : children_) all.push_back(&child);
  return all;
}

Result<Ended> Outpost::run(const RankBody& body) {
  TRY(start(body));
  if (signal_ != 0) return Ended{.outcome = {}, .signal = signal_};
  return watch();
}

// The launcher itself comes first: once its ranks have come and gone, the port is closed.
Status Outpost::start(const RankBody& body) {
  JoinOptions options{.address = TRY(parse_host_port(node_.address)),
                      .secret = node_.secret,
                      .hello = {.launcher = true, .rank = node_.first_rank, .world = node_.world},
                      .timeout = milliseconds_of(node_.connect),
                      .console = node_.console,
                      .signals = &signals_};
  const Joined joined = TRY(join(options));
  signal_ = joined.signal;
  if (signal_ != 0) return {};
  stream_ = MessageStream(joined.socket);
  options.secret = {.text = joined.secret, .shared_file = {}};
  options.signals = nullptr;
  options.console = nullptr;
  for (int rank = node_.first_rank; rank < node_.first_rank + node_.ranks; ++rank) {
    options.hello = {.launcher = false, .rank = rank, .world = node_.world};
    const auto connect = [&]() -> Result<int> {
      stream_.close();
      return TRY(join(options)).socket;
    };
    children_.push_back(TRY(start_child(rank, connect, node_, signals_, body)));
  }
  return {};
}

bool Outpost::all_ended() const {
  return std::none_of(children_.begin(), children_.end(),
                      [](const Child& child) { return child.is_running(); });
}

Result<Ended> Outpost::watch() {
  // Also when all children have ended: the first node says how the job has.
  while ((!all_ended() || stream_.is_open()) && !(deadline_ && Clock::now() > *deadline_)) {
    std::array<pollfd, 2> waiting = {
        {{.fd = signals_.readable(), .events = POLLIN, .revents = 0},
         {.fd = stream_.socket(), .events = stream_.events(), .revents = 0}}};
    ::poll(waiting.data(), waiting.size(), kLook);
    take_signals();
    hear();
    look_at_children();
  }
  if (signal_ != 0) return Ended{.outcome = {}, .signal = signal_};
  if (!told_.ok()) return told_;
  if (!worst_.ok()) return worst_;
  if (outcome_) return Ended{.outcome = *outcome_};
  return Error(ErrorKind::fault, "the node of rank 0 is gone").with("first rank", node_.first_rank);
}

void Outpost::take_signals() {
  if (const int signal = signals_.take()) {
    stream_.send(MessageKind::ended, fmt::format("{}", signal));
    end_by(signal);
  }
}

void Outpost::hear() {
  if (!stream_.is_open()) return;
  stream_.flush();
  Result<std::optional<Message>> message = stream_.receive();
  if (message.ok() && !message->has_value()) return;
  if (message.ok() && (*message)->kind == MessageKind::ended) {
    end_by(std::atoi((*message)->bytes.c_str()));
  }
  if (message.ok() && (*message)->kind == MessageKind::fault) {
    told_ = Error(ErrorKind::fault, (*message)->bytes);
  }
  if (message.ok() && (*message)->kind == MessageKind::success) outcome_ = (*message)->bytes;
  stream_.close();
  if (!deadline_) deadline_ = Clock::now() + milliseconds_of(node_.grace);
}

void Outpost::look_at_children() {
  for (Child& child : children_) {
    const bool was_running = child.is_running();
    child.look();
    if (!was_running || child.is_running() || *child.status == 0) continue;
    fail(Error(ErrorKind::fault, fmt::format("rank {} {}", child.rank, how_it_ended(*child.status)))
             .remedy("The node of rank 0 says why."));
  }
  const std::optional<std::string> stopped = stopped_too_long(children(), node_);
  if (!stopped || told_stopped_) return;
  told_stopped_ = true;
  stream_.send(MessageKind::fault, *stopped);
  fail(Error(ErrorKind::fault, *stopped));
}

void Outpost::fail(const Error& why) {
  if (worst_.ok()) worst_ = why;
  if (!deadline_) deadline_ = Clock::now() + milliseconds_of(node_.grace);
}

void Outpost::end_by(int signal) {
  if (signal_ != 0) return;
  signal_ = signal;
  deadline_ = Clock::now() + milliseconds_of(node_.grace);
  signal_children(children(), SIGTERM);
  signal_children(children(), SIGCONT);  // a stopped process dies, too
}

}  // namespace braid::comm
