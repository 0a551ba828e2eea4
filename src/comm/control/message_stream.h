// The launcher's end of a connection: messages both ways, without ever waiting for the other end.
#pragma once

#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "comm/control/message.h"

namespace braid::comm {

class MessageStream {
 public:
  using Clock = std::chrono::steady_clock;

  MessageStream() = default;
  // Takes over `socket`. Messages of more than `most_bytes` are refused.
  explicit MessageStream(int socket, uint64_t most_bytes = kMaxMessageBytes)
      : socket_(socket), most_bytes_(most_bytes) {}
  MessageStream(MessageStream&& other) noexcept { swap(other); }
  MessageStream& operator=(MessageStream&& other) noexcept {
    MessageStream(std::move(other)).swap(*this);
    return *this;
  }
  MessageStream(const MessageStream&) = delete;
  MessageStream& operator=(const MessageStream&) = delete;
  ~MessageStream() { close(); }

  bool is_open() const { return socket_ >= 0; }
  int socket() const { return socket_; }
  void close();
  // Allows messages of other lengths from now on.
  void set_most_bytes(uint64_t bytes) { most_bytes_ = bytes; }

  // What to poll() for.
  short events() const;

  // Sends as much as the connection takes at once; flush() sends the rest. Many streams may share
  // one text. receive() finds out when a connection has ended.
  void send(MessageKind kind, std::shared_ptr<const std::string> bytes);
  void send(MessageKind kind, std::string bytes) {
    send(kind, std::make_shared<const std::string>(std::move(bytes)));
  }
  void flush();

  // The next message that has come whole. `fault` when the other end is gone or sent no message.
  Result<std::optional<Message>> receive();
  // Since when a part of the next message has been here.
  std::optional<Clock::time_point> part_since() const { return part_since_; }

 private:
  struct Outgoing {
    MessageHeader header;
    std::shared_ptr<const std::string> bytes;
    size_t sent = 0;  // of the header and the bytes together
  };
  void swap(MessageStream& other) noexcept;
  // Whether all of `size` bytes are at `to`; `have` of them were.
  Result<bool> fill(char* to, size_t size, size_t& have);

  int socket_ = -1;
  uint64_t most_bytes_ = kMaxMessageBytes;
  std::deque<Outgoing> outgoing_;
  MessageHeader header_;
  size_t header_have_ = 0;
  std::string body_;
  size_t body_have_ = 0;
  std::optional<Clock::time_point> part_since_;
};

}  // namespace braid::comm
