#include "comm/control/control_plane.h"

#include <poll.h>
#include <unistd.h>

#include "comm/control/message.h"
#include "comm/control/tcp.h"

namespace braid::comm {

Error lost_rank(std::string_view cause) {
  return Error(ErrorKind::fault, "another rank is lost").with(kCause, cause);
}

ControlPlane::~ControlPlane() {
  if (socket_ >= 0) ::close(socket_);
}

Result<std::vector<std::string>> ControlPlane::all_gather(std::string_view bytes,
                                                          std::chrono::milliseconds timeout) {
  if (size_ == 1) return std::vector<std::string>{std::string(bytes)};
  TRY(Status(lost_));
  const auto milliseconds = static_cast<uint32_t>(timeout.count());
  TRY(send_message(socket_, MessageKind::gather, bytes, milliseconds));
  const Message answer = TRY(receive_message(socket_));
  if (answer.kind == MessageKind::gather) return unpack(answer.bytes);
  lost_ = lost_rank(answer.bytes);
  return lost_;
}

Status ControlPlane::barrier() { return all_gather("").status(); }

void ControlPlane::alive() {
  constexpr int64_t kSecond = 1'000'000'000;
  const int64_t now =
      std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
  int64_t next = next_alive_.load(std::memory_order_relaxed);
  if (socket_ < 0 || now < next || !next_alive_.compare_exchange_strong(next, now + kSecond))
    return;
  (void)send_message(socket_, MessageKind::alive, "");  // the next gather finds out who is gone
}

Status ControlPlane::poll() {
  if (size_ == 1 || !lost_.ok()) return lost_;
  pollfd waiting{.fd = socket_, .events = POLLIN, .revents = 0};
  if (::poll(&waiting, 1, 0) <= 0) return {};
  lost_ = lost_rank(TRY(receive_message(socket_)).bytes);
  return lost_;
}

Result<std::string> ControlPlane::address() const {
  if (socket_ < 0) return std::string(kLoopback);
  return local_address(socket_);
}

Status ControlPlane::succeed() {
  if (socket_ < 0) return {};
  return send_message(socket_, MessageKind::success, outcome_);
}

void ControlPlane::fail(const Error& error) {
  if (socket_ >= 0) (void)send_message(socket_, MessageKind::fault, pack_error(error));
  ::_exit(1);
}

}  // namespace braid::comm
