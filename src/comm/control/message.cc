#include "comm/control/message.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "comm/control/control_plane.h"

namespace braid::comm {
namespace {

Error gone(std::string_view what) {
  return Error(ErrorKind::fault, "the other end of the control plane is gone")
      .with("while", what)
      .with("error", std::strerror(errno));
}

Status send_all(int socket, const void* data, size_t bytes) {
  const auto* from = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t sent = ::send(socket, from, bytes, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return gone("sending");
    from += sent;
    bytes -= static_cast<size_t>(sent);
  }
  return {};
}

Status receive_all(int socket, void* data, size_t bytes) {
  auto* to = static_cast<char*>(data);
  while (bytes > 0) {
    const ssize_t received = ::recv(socket, to, bytes, 0);
    if (received < 0 && errno == EINTR) continue;
    if (received == 0) errno = ECONNRESET;
    if (received <= 0) return gone("receiving");
    to += received;
    bytes -= static_cast<size_t>(received);
  }
  return {};
}

}  // namespace

Status check_header(const MessageHeader& header, uint64_t most) {
  if (header.bytes <= most && header.kind <= static_cast<uint32_t>(kLastKind)) return {};
  return Error(ErrorKind::fault, "the control plane brought what is no message")
      .with("kind", header.kind)
      .with("bytes", header.bytes);
}

Status send_message(int socket, MessageKind kind, std::string_view bytes, uint32_t milliseconds) {
  if (bytes.size() > kMaxMessageBytes) {
    return Error(ErrorKind::internal, "a message of the control plane is too long")
        .with("bytes", bytes.size());
  }
  const MessageHeader header{
      .kind = static_cast<uint32_t>(kind), .milliseconds = milliseconds, .bytes = bytes.size()};
  TRY(send_all(socket, &header, sizeof(header)));
  return send_all(socket, bytes.data(), bytes.size());
}

Result<Message> receive_message(int socket) {
  MessageHeader header;
  TRY(receive_all(socket, &header, sizeof(header)));
  TRY(check_header(header, kMaxMessageBytes));
  Message message{.kind = static_cast<MessageKind>(header.kind),
                  .bytes = {},
                  .milliseconds = header.milliseconds};
  message.bytes.resize(header.bytes);
  TRY(receive_all(socket, message.bytes.data(), message.bytes.size()));
  return message;
}

std::string pack_error(const Error& error) {
  const bool consequence = error.message() == lost_rank("").message();
  Error told(error.kind(), error.message());
  for (const auto& [name, value] : error.values()) {
    if (!consequence || name != kCause) told = std::move(told).with(name, value);
  }
  if (!error.remedy().empty()) told = std::move(told).remedy(error.remedy());
  return pack({fmt::format("{}", static_cast<int>(error.kind())), consequence ? "1" : "0",
               told.message(), told.to_string()});
}

Result<ToldError> unpack_error(std::string_view bytes) {
  const std::vector<std::string> parts = TRY(unpack(bytes));
  const int kind = parts.size() == 4 ? std::atoi(parts[0].c_str()) : -1;
  if (kind < 0 || kind > static_cast<int>(ErrorKind::internal)) {
    return Error(ErrorKind::fault, "the control plane brought bytes that are not an error");
  }
  return ToldError{static_cast<ErrorKind>(kind), parts[1] == "1", parts[2], parts[3]};
}

std::string pack(const std::vector<std::string>& parts) {
  std::string bytes;
  for (const std::string& part : parts) {
    const uint64_t size = part.size();
    bytes.append(reinterpret_cast<const char*>(&size), sizeof(size));
    bytes += part;
  }
  return bytes;
}

Result<std::vector<std::string>> unpack(std::string_view bytes) {
  std::vector<std::string> parts;
  while (!bytes.empty()) {
    uint64_t size = 0;
    if (bytes.size() >= sizeof(size)) std::memcpy(&size, bytes.data(), sizeof(size));
    if (bytes.size() < sizeof(size) || bytes.size() - sizeof(size) < size) {
      return Error(ErrorKind::fault, "a message of the control plane ends too early");
    }
    parts.emplace_back(bytes.substr(sizeof(size), size));
    bytes.remove_prefix(sizeof(size) + size);
  }
  return parts;
}

}  // namespace braid::comm
