// The table that braid bench layer prints.
#include "base/json.h"
#include "base/table.h"
#include "cli/bench_layer.h"

namespace braid::cli {
namespace {

std::string microseconds(const lab::Estimate& seconds) {
  return fmt::format("{:.1f} [{:.1f}, {:.1f}]", 1e6 * seconds.median, 1e6 * seconds.low,
                     1e6 * seconds.high);
}

std::string percent(const lab::Estimate& share) {
  return fmt::format("{:.0f} % [{:.0f}, {:.0f}]", 100 * share.median, 100 * share.low,
                     100 * share.high);
}

Json to_json(const lab::Estimate& estimate) {
  return {{"median", estimate.median}, {"low", estimate.low}, {"high", estimate.high}};
}

}  // namespace

std::string layer_table(const std::vector<lab::LayerTiming>& timings, size_t width) {
  Table table({{.heading = "variant", .left = true},
               {.heading = "us [95 %]"},
               {.heading = "less than serial, us", .keep = 2},
               {.heading = "ratio", .keep = 1},
               {.heading = "hidden", .keep = 3},
               {.heading = "at most", .keep = 4},
               {.heading = "replay", .keep = 5, .left = true}});
  const double serial = timings.front().seconds.median;
  for (const lab::LayerTiming& timing : timings) {
    table.row({timing.name, microseconds(timing.seconds), microseconds(timing.gain),
               fmt::format("{:.3f}", serial / timing.seconds.median),
               timing.hidden ? percent(*timing.hidden) : "",
               timing.ceiling ? fmt::format("{:.0f} %", 100 * *timing.ceiling) : std::string(),
               timing.captured});
  }
  return table.text(width);
}

Json layer_json(const std::vector<lab::LayerTiming>& timings) {
  Json list = Json::array();
  for (const lab::LayerTiming& timing : timings) {
    list.push_back({{"name", timing.name},
                    {"seconds", to_json(timing.seconds)},
                    {"gain_seconds", to_json(timing.gain)},
                    {"hidden", timing.hidden ? to_json(*timing.hidden) : Json()},
                    {"hidden_at_most", timing.ceiling ? Json(*timing.ceiling) : Json()},
                    {"replay", timing.captured}});
  }
  return list;
}

}  // namespace braid::cli
