#include "comm/control/message_stream.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace braid::comm {
namespace {

// A message's room grows with what has come of it.
constexpr size_t kGrowth = size_t{1} << 20;

bool must_wait() { return errno == EAGAIN || errno == EWOULDBLOCK; }

}  // namespace

void MessageStream::close() {
  if (socket_ >= 0) ::close(socket_);
  socket_ = -1;
  outgoing_.clear();
}

void MessageStream::swap(MessageStream& other) noexcept {
  std::swap(socket_, other.socket_);
  std::swap(most_bytes_, other.most_bytes_);
  std::swap(outgoing_, other.outgoing_);
  std::swap(header_, other.header_);
  std::swap(header_have_, other.header_have_);
  std::swap(body_, other.body_);
  std::swap(body_have_, other.body_have_);
  std::swap(part_since_, other.part_since_);
}

short MessageStream::events() const {
  return static_cast<short>(outgoing_.empty() ? POLLIN : POLLIN | POLLOUT);
}

void MessageStream::send(MessageKind kind, std::shared_ptr<const std::string> bytes) {
  if (!is_open()) return;
  const MessageHeader header{.kind = static_cast<uint32_t>(kind), .bytes = bytes->size()};
  outgoing_.push_back({header, std::move(bytes)});
  flush();
}

void MessageStream::flush() {
  while (is_open() && !outgoing_.empty()) {
    Outgoing& next = outgoing_.front();
    constexpr size_t kHeader = sizeof(MessageHeader);
    const bool in_header = next.sent < kHeader;
    const char* from = in_header ? reinterpret_cast<const char*>(&next.header) + next.sent
                                 : next.bytes->data() + (next.sent - kHeader);
    const size_t left = in_header ? kHeader - next.sent : kHeader + next.bytes->size() - next.sent;
    const ssize_t sent = left == 0 ? 0 : ::send(socket_, from, left, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && must_wait()) return;
    if (sent < 0) return outgoing_.clear();
    next.sent += static_cast<size_t>(sent);
    if (next.sent == kHeader + next.bytes->size()) outgoing_.pop_front();
  }
}

Result<bool> MessageStream::fill(char* to, size_t size, size_t& have) {
  while (have < size) {
    const ssize_t received = ::recv(socket_, to + have, size - have, MSG_DONTWAIT);
    if (received < 0 && errno == EINTR) continue;
    if (received < 0 && must_wait()) return false;
    if (received <= 0) {
      return Error(ErrorKind::fault, "the other end of the control plane is gone")
          .with("error", received == 0 ? "it has closed the connection" : std::strerror(errno));
    }
    have += static_cast<size_t>(received);
    if (!part_since_) part_since_ = Clock::now();
  }
  return true;
}

Result<std::optional<Message>> MessageStream::receive() {
  auto* header = reinterpret_cast<char*>(&header_);
  if (!TRY(fill(header, sizeof(header_), header_have_))) return std::optional<Message>();
  TRY(check_header(header_, most_bytes_));
  while (body_have_ < header_.bytes) {
    if (body_have_ == body_.size()) {
      body_.resize(std::min<size_t>(header_.bytes, body_.size() + kGrowth));
    }
    if (!TRY(fill(body_.data(), body_.size(), body_have_))) return std::optional<Message>();
  }
  Message message{.kind = static_cast<MessageKind>(header_.kind),
                  .bytes = std::move(body_),
                  .milliseconds = header_.milliseconds};
  header_have_ = body_have_ = 0;
  body_.clear();
  part_since_.reset();
  return std::optional<Message>(std::move(message));
}

}  // namespace braid::comm
