#include "comm/control/end_signals.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/status.h"

namespace braid::comm {
namespace {

constexpr std::array kSignals = {SIGINT, SIGTERM, SIGHUP};
volatile std::sig_atomic_t g_pipe = -1;

void note(int signal) {
  const int saved = errno;
  const auto number = static_cast<unsigned char>(signal);
  // The pipe is full only after thousands of signals that were not looked at.
  [[maybe_unused]] const ssize_t written = ::write(g_pipe, &number, 1);
  errno = saved;
}

}  // namespace

EndSignals::EndSignals() {
  const int made = ::pipe2(pipe_, O_CLOEXEC | O_NONBLOCK);
  BRAID_CHECK(made == 0 && g_pipe == -1, "(pipe2 gives {}, errno {})", made, errno);
  g_pipe = pipe_[1];
  struct sigaction noting = {};
  noting.sa_handler = note;
  for (size_t i = 0; i < kSignals.size(); ++i) {
    ::sigaction(kSignals[i], nullptr, &before_[i]);
    if (kSignals[i] == SIGHUP && before_[i].sa_handler == SIG_IGN) continue;
    ::sigaction(kSignals[i], &noting, nullptr);
  }
}

EndSignals::~EndSignals() { restore(); }

void EndSignals::restore() {
  if (restored_) return;
  restored_ = true;
  for (size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &before_[i], nullptr);
  g_pipe = -1;
  for (const int end : pipe_) ::close(end);
}

int EndSignals::take() {
  unsigned char number = 0;
  return ::read(pipe_[0], &number, 1) == 1 ? number : 0;
}

}  // namespace braid::comm
