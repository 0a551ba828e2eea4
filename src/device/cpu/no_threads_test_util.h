// For tests: a process that is given no further threads.
#pragma once

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

namespace braid::device::testing {

// Whether `body` is true in a process of its own that has no memory for another thread's stack.
inline bool true_without_threads(const std::function<bool()>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    rlimit limit{};
    ::getrlimit(RLIMIT_AS, &limit);
    limit.rlim_cur = rlim_t{1} << 20;  // less than there is: no mapping can be made
    ::setrlimit(RLIMIT_AS, &limit);
    ::_exit(body() ? 0 : 1);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace braid::device::testing
