// The table that braid bench layer prints.
#include "base/json.h"
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

std::string layer_table(const std::vector<lab::LayerTiming>& timings) {
  std::string text =
      fmt::format("{:<28} {:>27} {:>27} {:>7} {:>18} {:>8}  {}\n", "variant", "us [95 %]",
                  "less than serial, us", "ratio", "hidden", "at most", "replay");
  const double serial = timings.front().seconds.median;
  for (const lab::LayerTiming& timing : timings) {
    const std::string most =
        timing.ceiling ? fmt::format("{:.0f} %", 100 * *timing.ceiling) : std::string();
    text += fmt::format("{:<28} {:>27} {:>27} {:>7.3f} {:>18} {:>8}  {}\n", timing.name,
                        microseconds(timing.seconds), microseconds(timing.gain),
                        serial / timing.seconds.median,
                        timing.hidden ? percent(*timing.hidden) : "", most, timing.captured);
  }
  return text;
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
