// For tests: a client that writes and reads bytes as they are, on a socket that waits.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <string_view>

#include "base/json.h"

namespace braid::server::testing {

class RawClient {
 public:
  explicit RawClient(int port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ =
        ::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }
  explicit RawClient(const std::string& path)
      : socket_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    connected_ =
        ::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }
  ~RawClient() { close(); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  bool connected() const { return connected_; }
  void close() {
    if (socket_ >= 0) ::close(socket_);
    socket_ = -1;
  }

  // Whether all was taken.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }

  // Reads until `text` has come; false at the end of the connection, or after `seconds`.
  bool read_until(std::string_view text, double seconds = 20) {
    while (got_.find(text) == got_.npos) {
      if (!read_more(seconds)) return false;
    }
    return true;
  }
  // Reads to the end of the connection; false when it hasn't come after `seconds`.
  bool read_to_end(double seconds = 20) {
    while (read_more(seconds)) {
    }
    return ended_;
  }
  const std::string& got() const { return got_; }
  std::string take() { return std::exchange(got_, {}); }

  struct Answer {
    int status = 0;  // 0: none came
    std::string head;
    std::string body;  // out of its chunks
    Json json() const { return Json::parse(body); }
    bool has(std::string_view text) const { return head.find(text) != head.npos; }
  };
  // The next answer, whole.
  Answer read_answer(double seconds = 20) {
    Answer answer;
    if (!read_until("\r\n\r\n", seconds)) return answer;
    const size_t end = got_.find("\r\n\r\n") + 4;
    answer.head = got_.substr(0, end);
    got_.erase(0, end);
    answer.status = std::atoi(answer.head.c_str() + sizeof "HTTP/1.1");
    if (answer.has("Transfer-Encoding: chunked")) {
      if (!read_chunks(answer.body, seconds)) answer.status = 0;
    } else if (const size_t at = answer.head.find("Content-Length: "); at != answer.head.npos) {
      const size_t length = std::stoul(answer.head.substr(at + 16));
      while (got_.size() < length && read_more(seconds)) {
      }
      answer.body = got_.substr(0, length);
      got_.erase(0, length);
    }
    return answer;
  }

 private:
  bool read_more(double seconds) {
    pollfd waiting = {.fd = socket_, .events = POLLIN, .revents = 0};
    if (::poll(&waiting, 1, static_cast<int>(1000 * seconds)) != 1) return false;
    char bytes[65536];
    const ssize_t read = ::recv(socket_, bytes, sizeof bytes, 0);
    ended_ = read <= 0;
    if (ended_) return false;
    got_.append(bytes, static_cast<size_t>(read));
    return true;
  }

  bool read_chunks(std::string& body, double seconds) {
    while (true) {
      if (!read_until("\r\n", seconds)) return false;
      const size_t line = got_.find("\r\n") + 2;
      const size_t length = std::stoul(got_.substr(0, line), nullptr, 16);
      while (got_.size() < line + length + 2) {
        if (!read_more(seconds)) return false;
      }
      body += got_.substr(line, length);
      got_.erase(0, line + length + 2);
      if (length == 0) return true;
    }
  }

  int socket_;
  bool connected_ = false;
  bool ended_ = false;
  std::string got_;
};

}  // namespace braid::server::testing
