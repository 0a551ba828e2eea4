#include "flow/audit/poison.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>

#include "base/status.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define BRAID_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define BRAID_ASAN 1
#endif

#if defined(BRAID_ASAN)
#include <fcntl.h>
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <unistd.h>
#endif

namespace braid::flow {
namespace {

// The guards that are up: one a rank. A report must not allocate or lock.
constexpr size_t kMaxGuards = 64;
std::array<std::atomic<PoisonGuard*>, kMaxGuards> guards;

#if defined(BRAID_ASAN)

void poison(std::span<std::byte> memory) {
  __asan_poison_memory_region(memory.data(), memory.size());
}
void unpoison(std::span<std::byte> memory) {
  __asan_unpoison_memory_region(memory.data(), memory.size());
}

// Reports of hits are expected: they go nowhere.
void set_quiet(bool quiet) {
  static const int kNowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
  const intptr_t file = quiet ? kNowhere : STDERR_FILENO;
  __sanitizer_set_report_fd(reinterpret_cast<void*>(file));
}

// Called by AddressSanitizer after every report. What isn't a hit ends the process, as it would
// without the options below.
void on_report(const char* text) {
  const PoisonHit hit{static_cast<const std::byte*>(__asan_get_report_address()),
                      __asan_get_report_access_size(), __asan_get_report_access_type() != 0};
  for (auto& guard : guards) {
    PoisonGuard* up = guard.load();
    if (up != nullptr && up->hit(hit)) return;
  }
  if (std::any_of(guards.begin(), guards.end(), [](auto& guard) { return guard != nullptr; })) {
    std::fputs(text, stderr);  // it was written to nowhere
  }
  std::_Exit(EXIT_FAILURE);
}

[[maybe_unused]] const bool kInstalled = [] {
  __asan_set_error_report_callback(on_report);
  return true;
}();

#else

void poison(std::span<std::byte>) {}
void unpoison(std::span<std::byte>) {}
void set_quiet(bool) {}

#endif

}  // namespace

bool can_poison() {
#if defined(BRAID_ASAN)
  return true;  // also before this file's own variables are set
#else
  return false;
#endif
}

PoisonGuard::PoisonGuard(std::vector<std::span<std::byte>> memory) : memory_(std::move(memory)) {
  set_quiet(true);
  bool entered = false;
  for (auto& guard : guards) {
    PoisonGuard* none = nullptr;
    entered = guard.compare_exchange_strong(none, this);
    if (entered) break;
  }
  BRAID_CHECK(entered, "(more than {} guards)", kMaxGuards);
  for (const std::span<std::byte> piece : memory_) poison(piece);
}

PoisonGuard::~PoisonGuard() { finish(); }

void PoisonGuard::allow(std::span<std::byte> piece) { unpoison(piece); }

std::optional<PoisonHit> PoisonGuard::finish() {
  lift();
  bool last = true;
  for (auto& guard : guards) {
    PoisonGuard* self = this;
    guard.compare_exchange_strong(self, nullptr);
    last = last && guard == nullptr;
  }
  if (last) set_quiet(false);
  return hit_;
}

bool PoisonGuard::hit(const PoisonHit& hit) {
  const auto holds = [&](std::span<std::byte> piece) {
    return piece.data() <= hit.address && hit.address < piece.data() + piece.size();
  };
  if (std::none_of(memory_.begin(), memory_.end(), holds)) return false;
  hit_ = hit;
  lift();
  return true;
}

void PoisonGuard::lift() {
  for (const std::span<std::byte> piece : memory_) unpoison(piece);
}

}  // namespace braid::flow

#if defined(BRAID_ASAN)
// A report returns to the program, so that one run can meet many; each access is reported anew.
extern "C" const char* __asan_default_options() { return "halt_on_error=0:suppress_equal_pcs=0"; }
#endif
