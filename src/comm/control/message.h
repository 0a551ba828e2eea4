// Messages of the control plane on a stream socket: kind, length, bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace braid::comm {

enum class MessageKind : uint32_t {
  gather,   // to the launcher: a rank's part of an all_gather; from it: all parts, packed
  fault,    // to the launcher: what went wrong on a rank; from it: that some rank is lost
  success,  // to the launcher: the rank is about to end well
  hello,    // to the launcher, over TCP: who has come
};

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

// An error on its way to the launcher: its kind, whether it is a consequence (lost_rank) and its
// text.
struct ToldError {
  ErrorKind kind = ErrorKind::fault;
  bool consequence = false;
  std::string text;
};
std::string pack_error(const Error& error);
Result<ToldError> unpack_error(std::string_view bytes);

// Several byte strings as one.
std::string pack(const std::vector<std::string>& parts);
Result<std::vector<std::string>> unpack(std::string_view bytes);

}  // namespace braid::comm
