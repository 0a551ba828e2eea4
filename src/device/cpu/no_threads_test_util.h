// For tests: a process that is given no further threads.
#pragma once

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

namespace braid::device::testing {

// Whether `body` is true in a process of its own that may have no further threads.
inline bool true_without_threads(const std::function<bool()>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    const rlimit none{.rlim_cur = 0, .rlim_max = 0};
    ::setrlimit(RLIMIT_NPROC, &none);
    constexpr uid_t kNobody = 65534;  // the limit doesn't count for root
    if (::getuid() == 0 && ::setuid(kNobody) != 0) ::_exit(2);
    ::_exit(body() ? 0 : 1);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace braid::device::testing
