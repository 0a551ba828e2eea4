#include "comm/control/listener.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace braid::comm {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kMostAtOnce = 256;  // connections taken at a look, so that ranks are heard between
// When descriptors or memory are used up, accept() fails at once, again and again.
constexpr std::chrono::milliseconds kPause{100};

}  // namespace

Result<Listener> Listener::open(const HostPort& address, std::string secret) {
  Listener listener;
  listener.socket_ = TRY(listen_at(address));
  listener.secret_ = std::move(secret);
  (void)::fcntl(listener.socket_, F_SETFL, O_NONBLOCK);
  return listener;
}

Listener::Listener(Listener&& other) noexcept
    : socket_(std::exchange(other.socket_, -1)),
      secret_(std::move(other.secret_)),
      unproven_(std::move(other.unproven_)),
      turned_away_(other.turned_away_),
      pause_(other.pause_) {}

void Listener::close() {
  if (socket_ >= 0) ::close(socket_);
  socket_ = -1;
  unproven_.clear();
}

void Listener::add_to(std::vector<pollfd>& waiting) const {
  if (!is_open()) return;
  if (Clock::now() >= pause_) waiting.push_back({.fd = socket_, .events = POLLIN, .revents = 0});
  for (const Unproven& one : unproven_) {
    waiting.push_back({.fd = one.stream.socket(), .events = one.stream.events(), .revents = 0});
  }
}

std::vector<Listener::Guest> Listener::look() {
  std::vector<Guest> guests;
  if (!is_open()) return guests;
  if (Clock::now() >= pause_) accept_all();
  const Clock::time_point now = Clock::now();
  for (auto one = unproven_.begin(); one != unproven_.end();) {
    one->stream.flush();
    Result<std::optional<Message>> said = one->stream.receive();
    const bool silent = said.ok() && !said->has_value();
    if (silent && now - one->since < kProofTime) {
      ++one;
      continue;
    }
    std::optional<ProvenHello> proven;
    if (said.ok() && !silent && (*said)->kind == MessageKind::hello) {
      proven = check_hello((*said)->bytes, one->challenge, secret_);
    }
    if (proven) {
      one->stream.set_most_bytes(kMaxMessageBytes);
      guests.push_back({proven->hello, std::move(proven->welcome), std::move(one->stream)});
    } else {
      if (said.ok() && !silent) one->stream.send(MessageKind::fault, "the secret is another one");
      ++turned_away_;
    }
    one = unproven_.erase(one);
  }
  return guests;
}

void Listener::accept_all() {
  for (int i = 0; i < kMostAtOnce; ++i) {
    const int socket = accept_from(socket_);
    if (socket < 0) {
      const bool exhausted =
          errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
      if (!exhausted) return;
      if (!make_room()) pause_ = Clock::now() + kPause;
      continue;
    }
    if (unproven_.size() >= kMostUnproven) make_room();
    Unproven& come = unproven_.emplace_back(
        Unproven{MessageStream(socket, kMaxHelloBytes), make_challenge(), Clock::now()});
    come.stream.send(MessageKind::challenge, come.challenge);
  }
}

// Drops the connection that has waited longest without a proof.
bool Listener::make_room() {
  if (unproven_.empty()) return false;
  unproven_.pop_front();
  ++turned_away_;
  return true;
}

}  // namespace braid::comm
