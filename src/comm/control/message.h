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
};

struct Message {
  MessageKind kind = MessageKind::gather;
  std::string bytes;
};

// Longer messages are refused: a broken peer must not make us allocate without bound.
inline constexpr uint64_t kMaxMessageBytes = uint64_t{64} << 20;

// Both retry after signals. `fault` when the other end is gone.
Status send_message(int socket, MessageKind kind, std::string_view bytes);
Result<Message> receive_message(int socket);

// Several byte strings as one.
std::string pack(const std::vector<std::string>& parts);
Result<std::vector<std::string>> unpack(std::string_view bytes);

}  // namespace braid::comm
