#include "comm/control/waiting_line.h"

#include <fmt/format.h>

#include <algorithm>

namespace braid::comm {
namespace {

constexpr std::chrono::seconds kFirst{2};  // ranks that come sooner are not mentioned
constexpr std::chrono::seconds kRarest{60};

}  // namespace

WaitingLine::WaitingLine(Console* console, std::chrono::milliseconds limit)
    : console_(console),
      limit_(std::chrono::duration_cast<std::chrono::seconds>(limit)),
      start_(Clock::now()),
      next_(kFirst) {}

WaitingLine::~WaitingLine() {
  if (shown_) console_->transient("");
}

void WaitingLine::show(std::string_view what) {
  const auto waited = std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - start_);
  if (console_ == nullptr || waited < next_) return;
  shown_ = true;
  const std::string line =
      fmt::format("waiting for {} ({} s of {})", what, waited.count(), limit_.count());
  if (console_->is_terminal()) {
    console_->transient(line);
    next_ = waited + std::chrono::seconds(1);
  } else {
    console_->line(line);
    next_ = waited + std::clamp(2 * waited, kFirst, kRarest);
  }
}

}  // namespace braid::comm
