#include "comm/control/control_plane.h"

#include <poll.h>
#include <unistd.h>

#include "comm/control/message.h"

namespace braid::comm {
namespace {

Error lost_rank(const Message& message) {
  return Error(ErrorKind::fault, "another rank is lost").with("what", message.bytes);
}

}  // namespace

ControlPlane::~ControlPlane() {
  if (socket_ >= 0) ::close(socket_);
}

Result<std::vector<std::string>> ControlPlane::all_gather(std::string_view bytes) {
  if (size_ == 1) return std::vector<std::string>{std::string(bytes)};
  TRY(send_message(socket_, MessageKind::gather, bytes));
  const Message answer = TRY(receive_message(socket_));
  if (answer.kind != MessageKind::gather) return lost_rank(answer);
  return unpack(answer.bytes);
}

Status ControlPlane::barrier() { return all_gather("").status(); }

Status ControlPlane::poll() {
  if (size_ == 1) return {};
  pollfd waiting{.fd = socket_, .events = POLLIN, .revents = 0};
  if (::poll(&waiting, 1, 0) <= 0) return {};
  return lost_rank(TRY(receive_message(socket_)));
}

void ControlPlane::fail(const Error& error) {
  if (socket_ >= 0) (void)send_message(socket_, MessageKind::fault, error.to_string());
  ::_exit(1);
}

}  // namespace braid::comm
