#include "base/log.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "base/status.h"
#include "base/visible.h"

namespace braid {
namespace {

constexpr std::string_view kEraseLine = "\r\033[K";

void write_stderr(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

}  // namespace

void Console::set_quiet(bool quiet) {
  const std::lock_guard lock(mutex_);
  settings_.quiet = quiet;
}

void Console::write_line(std::string_view text) {
  const std::string_view erase = shows_transient_ ? kEraseLine : std::string_view();
  shows_transient_ = false;
  settings_.write(
      fmt::format("{}{}\n", erase, settings_.is_terminal ? visible(text) : std::string(text)));
}

void Console::line(std::string_view text) {
  const std::lock_guard lock(mutex_);
  if (!settings_.quiet) write_line(text);
}

size_t Console::columns() const {
  constexpr size_t kLeast = 20, kElsewhere = 120;
  return settings_.is_terminal ? std::max(settings_.columns(), kLeast) : kElsewhere;
}

void Console::set_shows_stages(bool shows) {
  const std::lock_guard lock(mutex_);
  shows_stages_ = shows;
}

void Console::stage(std::string_view text) {
  const std::lock_guard lock(mutex_);
  if (settings_.quiet) return;
  if (shows_stages_) return write_line(text);
  if (shows_transient_) settings_.write(kEraseLine);
  shows_transient_ = false;
}

void Console::transient(std::string_view text) {
  const std::lock_guard lock(mutex_);
  if (settings_.quiet || !replaces_lines()) return;
  // A cursor behind the last column is on the next line already.
  settings_.write(fmt::format("{}{}", kEraseLine, fitted(visible(text), columns() - 1)));
  shows_transient_ = true;
}

void Console::prompt(std::string_view text) {
  const std::lock_guard lock(mutex_);
  settings_.write(fmt::format("{}{}", shows_transient_ ? kEraseLine : "", text));
  shows_transient_ = false;
}

void Console::report(std::string_view text) {
  const std::lock_guard lock(mutex_);
  write_line(text);
}

void Console::warn(std::string_view text) { report(fmt::format("braid: warning: {}", text)); }
void Console::error(std::string_view text) { report(fmt::format("braid: error: {}", text)); }

void Console::set_activity(Activity activity) {
  const std::lock_guard lock(mutex_);
  activity_ = std::move(activity);
}

Activity Console::activity() const {
  const std::lock_guard lock(mutex_);
  return activity_;
}

Console& console() {
  const auto environment = [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  };
  static Console out({.write = write_stderr,
                      .is_terminal = isatty(STDERR_FILENO) != 0,
                      .moves_cursor = can_move_cursor(environment),
                      .columns = [=] { return terminal_columns(STDERR_FILENO, environment); }});
  return out;
}

Stage::Stage(std::string name, Console& out)
    : name_(std::move(name)), out_(out), start_(out.now()) {
  out_.set_activity({.stage = name_});
  out_.transient(fmt::format("{} …", name_));
}

Stage::~Stage() {
  if (!done_) out_.line(fmt::format("{} … failed after {}", name_, format_seconds(seconds())));
}

double Stage::seconds() const { return std::chrono::duration<double>(out_.now() - start_).count(); }

void Stage::done(std::string_view detail) {
  BRAID_CHECK(!done_, "(stage '{}' ends twice)", name_);
  done_ = true;
  std::string text = fmt::format("{} … {}", name_, format_seconds(seconds()));
  if (!detail.empty()) text += fmt::format(", {}", detail);
  const int64_t resident = resident_bytes();
  if (resident > 0) text += fmt::format(", rss {}", format_bytes(static_cast<double>(resident)));
  out_.stage(text);
}

int64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");  // in pages: size, resident, ...
  int64_t size = 0;
  int64_t resident = 0;
  if (!(statm >> size >> resident)) return 0;
  return resident * sysconf(_SC_PAGESIZE);
}

std::string format_bytes(double bytes) {
  constexpr std::array units = {"B", "kB", "MB", "GB", "TB", "PB"};
  size_t unit = 0;
  // 999.5 would be shown as 1000.
  for (; bytes >= 999.5 && unit + 1 < units.size(); ++unit) bytes /= 1000;
  const int digits = unit == 0 || bytes >= 99.95 ? 0 : bytes >= 9.995 ? 1 : 2;
  return fmt::format("{:.{}f} {}", bytes, digits, units[unit]);
}

std::string format_seconds(double seconds) {
  if (seconds < 1e-3) return fmt::format("{:.1f} µs", seconds * 1e6);
  if (seconds < 0.1) return fmt::format("{:.1f} ms", seconds * 1e3);
  if (seconds < 59.95) return fmt::format("{:.1f} s", seconds);
  const auto whole = std::llround(seconds);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60);
}

}  // namespace braid
