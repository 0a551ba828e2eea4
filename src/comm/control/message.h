// Messages of the control plane on a stream socket: kind, length, bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace braid::comm {

enum class MessageKind : uint32_t {
  gather,     // to the launcher: a rank's part of an all_gather; from it: all parts, packed
  fault,      // to the launcher: what went wrong on a rank; from it: that some rank is lost
  success,    // to the launcher: the rank is about to end well
  hello,      // to the launcher, over TCP: which rank comes, and its proof of the job's secret
  challenge,  // from the launcher, over TCP: what the proof must be made for
  welcome,    // from the launcher, over TCP: the hello is right, and its own proof
  alive,      // to the launcher: the rank still makes progress
  ended,      // between launchers: a signal has ended the job; its number
};
inline constexpr MessageKind kLastKind = MessageKind::ended;

// What stands before a message's bytes.
struct MessageHeader {
  uint32_t kind = 0;
  uint32_t milliseconds = 0;
  uint64_t bytes = 0;
};
// `fault` where no message begins so, or one of more than `most` bytes.
Status check_header(const MessageHeader& header, uint64_t most);

struct Message {
  MessageKind kind = MessageKind::gather;
  std::string bytes;
  uint32_t milliseconds = 0;  // that the sender waits for an answer; 0: for as long as it takes
};

// Longer messages are refused: a broken peer must not make us allocate without bound.
inline constexpr uint64_t kMaxMessageBytes = uint64_t{64} << 20;

// Both retry after signals. `fault` when the other end is gone.
Status send_message(int socket, MessageKind kind, std::string_view bytes,
                    uint32_t milliseconds = 0);
Result<Message> receive_message(int socket);

// An error on its way to the launcher.
struct ToldError {
  ErrorKind kind = ErrorKind::fault;
  bool consequence = false;  // of another rank's (lost_rank), which is left out of the text
  std::string message;       // in one short line
  std::string text;          // with all values
};
std::string pack_error(const Error& error);
Result<ToldError> unpack_error(std::string_view bytes);

// Several byte strings as one.
std::string pack(const std::vector<std::string>& parts);
Result<std::vector<std::string>> unpack(std::string_view bytes);

}  // namespace braid::comm
