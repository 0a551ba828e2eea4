// Sockets of the control plane between hosts.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/status.h"

namespace braid::comm {

inline constexpr std::string_view kLoopback = "127.0.0.1";

// "HOST:PORT", the host perhaps as [IPv6]. `usage` when it is not an address.
struct HostPort {
  std::string host;
  std::string port;
};
Result<HostPort> parse_host_port(std::string_view text);

// A socket that listens at `address`; port 0 means any free port. `exhausted` when that fails.
Result<int> listen_at(const HostPort& address);
// The port that a socket listens at.
Result<int> port_of(int socket);
// A connection to `address`, tried again until `timeout`. Both ends of connections find out within
// seconds when the other host is gone. `fault` when there is no answer.
Result<int> connect_to(const HostPort& address, std::chrono::milliseconds timeout);
// The same, tried once: -1 when there is no answer, or a signal has come.
Result<int> try_to_connect(const HostPort& address, std::chrono::milliseconds timeout);
// What connect_to() fails with.
Error no_answer(const HostPort& address, std::chrono::milliseconds timeout);
// The next connection to a listening socket; -1, with errno, when there is none.
int accept_from(int listener);

// The IP of this end of a connection; kLoopback for sockets other than TCP.
Result<std::string> local_address(int socket);

}  // namespace braid::comm
