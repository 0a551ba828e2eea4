#include "support/shell.h"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

#include "comm/control/tcp.h"

namespace braid::testing {

Shell shell(const std::string& command) {
  std::fflush(nullptr);
  FILE* pipe = ::popen(command.c_str(), "r");
  Shell ran;
  std::array<char, 4096> bytes{};
  for (size_t read = 0; (read = std::fread(bytes.data(), 1, bytes.size(), pipe)) > 0;) {
    ran.out.append(bytes.data(), read);
  }
  const int status = ::pclose(pipe);
  if (WIFEXITED(status)) ran.code = WEXITSTATUS(status);
  return ran;
}

std::string braid(const std::string& words) { return fmt::format("{} {}", BRAID_PROGRAM, words); }

std::string free_port() {
  const int socket = comm::listen_at({std::string(comm::kLoopback), "0"}).value();
  const int port = comm::port_of(socket).value();
  ::close(socket);
  return fmt::format("{}", port);
}

Shell two_nodes(const std::string& words, const std::string& address,
                const std::array<std::string, 2>& prefixes) {
  const auto node = [&](int index) {
    return fmt::format("{} {} --nnodes 2 --node-rank {} --dist-init-addr {}",
                       prefixes[static_cast<size_t>(index)], braid(words), index, address);
  };
  return shell(fmt::format("{} >/dev/null 2>&1 & {}; code=$?; wait $! || code=9; exit $code",
                           node(1), node(0)));
}

}  // namespace braid::testing
