#include "text/stop_filter.h"

#include <algorithm>

#include "base/status.h"

namespace braid::text {
namespace {

// Length of the longest end of `text` that a proper beginning of `stop` equals.
size_t possible_beginning(std::string_view text, std::string_view stop) {
  for (size_t length = std::min(text.size(), stop.size() - 1); length > 0; --length) {
    if (text.ends_with(stop.substr(0, length))) return length;
  }
  return 0;
}

}  // namespace

StopFilter::StopFilter(std::vector<std::string> stops, bool keeps_stop)
    : stops_(std::move(stops)), keeps_stop_(keeps_stop) {
  for (const std::string& stop : stops_) BRAID_CHECK(!stop.empty(), "(stop text)");
}

std::string StopFilter::take(std::string_view text, bool hidden) {
  if (stopped_) return {};
  if (stops_.empty()) return hidden ? std::string() : std::string(text);
  held_ += text;
  hidden_.resize(held_.size(), hidden);
  size_t first = held_.npos;
  const std::string* found = nullptr;
  size_t unsure = 0;
  for (const std::string& stop : stops_) {
    const size_t at = held_.find(stop);
    if (at < first) {
      first = at;
      found = &stop;
    }
    unsure = std::max(unsure, possible_beginning(held_, stop));
  }
  stopped_ = found != nullptr;
  std::string out = release(stopped_ ? first : held_.size() - unsure);
  if (stopped_ && keeps_stop_) out += *found;
  if (stopped_) held_.clear();
  return out;
}

std::string StopFilter::release(size_t bytes) {
  std::string out;
  for (size_t i = 0; i < bytes; ++i) {
    if (!hidden_[i]) out += held_[i];
  }
  held_.erase(0, bytes);
  hidden_.erase(hidden_.begin(), hidden_.begin() + static_cast<int64_t>(bytes));
  return out;
}

std::string StopFilter::finish() { return release(held_.size()); }

}  // namespace braid::text
