#include "comm/control/tcp.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <thread>

namespace braid::comm {
namespace {

using Addresses = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

std::string text_of(const HostPort& address) {
  return fmt::format("{}:{}", address.host, address.port);
}

Result<Addresses> resolve(const HostPort& address, int flags) {
  const addrinfo hints{.ai_flags = flags, .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
  addrinfo* found = nullptr;
  const int code = ::getaddrinfo(address.host.c_str(), address.port.c_str(), &hints, &found);
  if (code == 0) return Addresses(found, &::freeaddrinfo);
  return Error(ErrorKind::usage, "the address of the first host can't be resolved")
      .with("address", text_of(address))
      .with("error", ::gai_strerror(code));
}

// Small messages leave at once, and a host that is gone is missed after 8 seconds at most.
void prepare(int socket) {
  const auto set = [socket](int level, int name, int value) {
    (void)::setsockopt(socket, level, name, &value, sizeof(value));
  };
  set(IPPROTO_TCP, TCP_NODELAY, 1);
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 2);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 2);
  set(IPPROTO_TCP, TCP_KEEPCNT, 3);
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, 8000);
}

// A socket for the first of the addresses for which `use` succeeds; -1: none.
template <typename Use>
int first_usable(const Addresses& addresses, Use use) {
  for (const addrinfo* at = addresses.get(); at != nullptr; at = at->ai_next) {
    const int socket = ::socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol);
    if (socket < 0) continue;
    if (use(socket, *at)) return socket;
    const int error = errno;
    ::close(socket);
    errno = error;
  }
  return -1;
}

// A connect() that gives up after `timeout`, or when a signal comes.
bool connect_within(int socket, const addrinfo& at, std::chrono::milliseconds timeout) {
  (void)::fcntl(socket, F_SETFL, O_NONBLOCK);
  if (::connect(socket, at.ai_addr, at.ai_addrlen) != 0) {
    pollfd connecting{.fd = socket, .events = POLLOUT, .revents = 0};
    if (errno != EINPROGRESS) return false;
    if (::poll(&connecting, 1, static_cast<int>(timeout.count())) <= 0) return false;
    socklen_t size = sizeof(errno);
    if (::getsockopt(socket, SOL_SOCKET, SO_ERROR, &errno, &size) != 0 || errno != 0) return false;
  }
  return ::fcntl(socket, F_SETFL, 0) == 0;
}

}  // namespace

Result<HostPort> parse_host_port(std::string_view text) {
  const size_t colon = text.rfind(':');
  HostPort out;
  if (colon != text.npos) {
    out = {std::string(text.substr(0, colon)), std::string(text.substr(colon + 1))};
  }
  if (out.host.starts_with('[') && out.host.ends_with(']')) {
    out.host = out.host.substr(1, out.host.size() - 2);
  }
  const bool digits = out.port.find_first_not_of("0123456789") == out.port.npos;
  const int64_t port = digits && out.port.size() <= 5 ? std::atoll(out.port.c_str()) : -1;
  if (!out.host.empty() && !out.port.empty() && port >= 0 && port <= 65535) return out;
  return Error(ErrorKind::usage, "an address is HOST:PORT").with("address", text);
}

Result<int> listen_at(const HostPort& address) {
  const Addresses addresses = TRY(resolve(address, AI_PASSIVE));
  const int socket = first_usable(addresses, [](int candidate, const addrinfo& at) {
    const int on = 1;
    (void)::setsockopt(candidate, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    return ::bind(candidate, at.ai_addr, at.ai_addrlen) == 0 && ::listen(candidate, 1024) == 0;
  });
  if (socket >= 0) return socket;
  return Error(ErrorKind::exhausted, "the first host can't listen at its address")
      .with("address", text_of(address))
      .with("error", std::strerror(errno))
      .remedy("The host of rank 0 needs an address of its own, with a port that is free.");
}

Result<int> port_of(int socket) {
  sockaddr_storage storage{};
  socklen_t size = sizeof(storage);
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&storage), &size) != 0) {
    return Error(ErrorKind::internal, "getsockname failed").with("error", std::strerror(errno));
  }
  // The port stands at the same place for both families.
  return static_cast<int>(ntohs(reinterpret_cast<sockaddr_in*>(&storage)->sin_port));
}

Result<int> try_to_connect(const HostPort& address, std::chrono::milliseconds timeout) {
  const Addresses addresses = TRY(resolve(address, 0));
  const int socket = first_usable(addresses, [&](int candidate, const addrinfo& at) {
    return connect_within(candidate, at, timeout);
  });
  if (socket >= 0) prepare(socket);
  return socket;
}

Result<int> connect_to(const HostPort& address, std::chrono::milliseconds timeout) {
  const auto end = std::chrono::steady_clock::now() + timeout;
  for (;;) {
    const int socket = TRY(try_to_connect(address, timeout));
    if (socket >= 0) return socket;
    if (std::chrono::steady_clock::now() > end) return no_answer(address, timeout);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

Error no_answer(const HostPort& address, std::chrono::milliseconds timeout) {
  return Error(ErrorKind::fault, "the first host does not answer")
      .with("address", text_of(address))
      .with("seconds", static_cast<double>(timeout.count()) / 1e3)
      .remedy("Start braid there too, and check that this host can reach the address.");
}

int accept_from(int listener) {
  const int socket = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  if (socket >= 0) prepare(socket);
  return socket;
}

Result<std::string> local_address(int socket) {
  sockaddr_storage storage{};
  socklen_t size = sizeof(storage);
  char text[INET6_ADDRSTRLEN] = {};
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&storage), &size) != 0) {
    return Error(ErrorKind::internal, "getsockname failed").with("error", std::strerror(errno));
  }
  if (storage.ss_family == AF_INET) {
    const auto* in = reinterpret_cast<const sockaddr_in*>(&storage);
    ::inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
  } else if (storage.ss_family == AF_INET6) {
    const auto* in = reinterpret_cast<const sockaddr_in6*>(&storage);
    ::inet_ntop(AF_INET6, &in->sin6_addr, text, sizeof(text));
  } else {
    return std::string(kLoopback);
  }
  return std::string(text);
}

}  // namespace braid::comm
