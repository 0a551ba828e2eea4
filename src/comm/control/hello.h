// How a newcomer and the first node prove to each other that they know the job's secret.
//
// 1. The first node sends a challenge: random bytes, other ones for each connection.
// 2. The newcomer answers with a hello: who it is, random bytes of its own, an HMAC of these and
//    the challenge under the secret. A recorded answer fits no other challenge.
// 3. The first node sends a welcome: an HMAC of the same bytes under the secret, for another
//    purpose. A process that listens there without knowing the secret can't make it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace braid::comm {

inline constexpr size_t kMaxHelloBytes = 512;

// The newcomer.
struct Hello {
  bool launcher = false;  // of another node; else a rank
  int rank = 0;           // the launcher's first one
  int world = 1;          // ranks of all nodes
};

std::string make_challenge();

// The answer to a challenge; `nonce`: random bytes of its sender.
std::string make_hello(const Hello& hello, std::string_view challenge, std::string_view nonce,
                       std::string_view secret);

// A hello whose proof is right, and the welcome that it is answered with; nothing where the bytes
// are no hello, or the proof is wrong.
struct ProvenHello {
  Hello hello;
  std::string welcome;
};
std::optional<ProvenHello> check_hello(std::string_view bytes, std::string_view challenge,
                                       std::string_view secret);

// Whether `welcome` is from a first node that knows the secret and has taken this hello.
bool check_welcome(std::string_view welcome, std::string_view hello, std::string_view challenge,
                   std::string_view secret);

}  // namespace braid::comm
