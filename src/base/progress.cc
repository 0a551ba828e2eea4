#include "base/progress.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/terminal.h"

namespace braid {
namespace {

constexpr auto kTerminalInterval = std::chrono::milliseconds(100);
constexpr auto kPlainInterval = std::chrono::seconds(10);
constexpr size_t kMostBarColumns = 24;
constexpr size_t kLeastBarColumns = 8;

std::string speed(int64_t bytes, double seconds) {
  return format_bytes(seconds > 0 ? static_cast<double>(bytes) / seconds : 0) + "/s";
}

}  // namespace

std::string progress_line(const std::string& name, int64_t bytes, int64_t total, double seconds,
                          size_t columns) {
  const auto done = static_cast<double>(bytes);
  if (total <= 0) {
    return fmt::format("{}: {}, {}", name, format_bytes(done), speed(bytes, seconds));
  }
  const double share = std::clamp(done / static_cast<double>(total), 0.0, 1.0);
  std::string text = fmt::format("{:.0f} %, {} of {}, {}", 100 * share, format_bytes(done),
                                 format_bytes(static_cast<double>(total)), speed(bytes, seconds));
  if (share > 0 && share < 1) {
    text += fmt::format(", {} left", format_seconds(seconds * (1 - share) / share));
  }
  const size_t beside = columns_of(name) + std::string_view(" [] ").size() + columns_of(text);
  const size_t bar = std::min(columns - std::min(beside, columns), kMostBarColumns);
  if (bar < kLeastBarColumns) return fmt::format("{}: {}", name, text);
  const auto filled = static_cast<size_t>(share * static_cast<double>(bar));
  return fmt::format("{} [{:.<{}}] {}", name, std::string(filled, '#'), bar, text);
}

Progress::Progress(std::string name, int64_t total_bytes, Console& out)
    : out_(out), stage_(std::move(name), out), total_(total_bytes) {
  next_shown_ = out.now() + (out.replaces_lines() ? kTerminalInterval : kPlainInterval);
}

void Progress::add(int64_t bytes) {
  const std::lock_guard lock(mutex_);
  bytes_ += bytes;
  if (total_ > 0) {
    const double share = std::min(static_cast<double>(bytes_) / static_cast<double>(total_), 1.0);
    out_.set_activity({.stage = stage_.name(),
                       .share = share,
                       .seconds_left = stage_.seconds() * (1 - share) / share});
  }
  const Clock::time_point now = out_.now();
  if (now < next_shown_) return;
  next_shown_ = now + (out_.replaces_lines() ? kTerminalInterval : kPlainInterval);
  show();
}

void Progress::show() {
  const bool replaces = out_.replaces_lines();
  const std::string text = progress_line(stage_.name(), bytes_, total_, stage_.seconds(),
                                         replaces ? out_.columns() - 1 : 0);
  if (replaces) {
    out_.transient(text);
  } else {
    out_.line(text);
  }
}

void Progress::done() {
  const std::lock_guard lock(mutex_);
  stage_.done(fmt::format("{}, {}", format_bytes(static_cast<double>(bytes_)),
                          speed(bytes_, stage_.seconds())));
}

}  // namespace braid
