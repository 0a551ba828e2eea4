#include "cli/interrupt.h"

#include <csignal>
#include <ctime>

namespace braid::cli {
namespace {

// One wish to end may arrive as several signals: from the terminal and from a launcher, or twice
// from timeout(1), to the process and to its group. A later signal is another wish.
constexpr long kOneWish = 300'000'000;  // nanoseconds

volatile std::sig_atomic_t g_interrupted = 0;
timespec g_first = {};  // when; written before g_interrupted

void note(int signal) {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  if (g_interrupted == 0) {
    g_first = now;
    g_interrupted = 1;
    return;
  }
  const long seconds = now.tv_sec - g_first.tv_sec;
  if (seconds < 2 && 1'000'000'000 * seconds + now.tv_nsec - g_first.tv_nsec < kOneWish) return;
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

}  // namespace

InterruptGuard::InterruptGuard() {
  g_interrupted = 0;
  struct sigaction action = {};
  action.sa_handler = note;  // without SA_RESTART: a read of stdin ends, too
  sigaction(SIGINT, &action, nullptr);
}

InterruptGuard::~InterruptGuard() { std::signal(SIGINT, SIG_DFL); }

bool InterruptGuard::interrupted() const { return g_interrupted != 0; }

}  // namespace braid::cli
