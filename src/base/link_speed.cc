#include "base/link_speed.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>
#include <span>

namespace braid {
namespace {

struct Unit {
  std::string_view name;
  double size;
};
constexpr Unit kRates[] = {{"MB/s", 1e6}, {"GB/s", 1e9}};  // in bytes/s
constexpr Unit kLatencies[] = {{"us", 1}, {"ms", 1e3}};    // in microseconds

// A decimal number with one of these units behind it.
std::optional<double> parse_quantity(std::string_view text, std::span<const Unit> units) {
  for (const Unit& unit : units) {
    if (!text.ends_with(unit.name)) continue;
    text.remove_suffix(unit.name.size());
    double number = 0;
    const char* const last = text.data() + text.size();
    const auto [end, code] = std::from_chars(text.data(), last, number, std::chars_format::fixed);
    if (code != std::errc() || end != last) return std::nullopt;
    return number * unit.size;
  }
  return std::nullopt;
}

}  // namespace

std::string LinkSpeed::to_string() const {
  return fmt::format("{:.4g} GB/s, {:.4g} us", bytes_per_second / 1e9, latency_us);
}

Result<LinkSpeed> parse_link_speed(std::string_view option, std::string_view text) {
  const size_t comma = text.find(',');
  const bool both = comma != std::string_view::npos;
  const auto rate = both ? parse_quantity(text.substr(0, comma), kRates) : std::nullopt;
  const auto latency = both ? parse_quantity(text.substr(comma + 1), kLatencies) : std::nullopt;
  const bool within =
      rate && latency && *rate >= 1e6 && *rate <= 1e13 && *latency >= 0 && *latency <= 1e6;
  if (within) return LinkSpeed{.bytes_per_second = *rate, .latency_us = *latency};
  return Error(ErrorKind::usage, "not the rate and the latency of a link")
      .with(option, text)
      .remedy("Write RATE,LATENCY as in 20GB/s,10us: 1MB/s to 10000GB/s, and 0us to 1000ms.");
}

}  // namespace braid
