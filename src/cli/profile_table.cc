#include "cli/profile_table.h"

#include <algorithm>

#include "base/json.h"
#include "base/terminal.h"

namespace braid::cli {
namespace {

using lab::kNumModules;
using lab::Module;
using lab::ModuleTimes;
using lab::PhaseReport;
using lab::RankReport;
using lab::StepWindow;

constexpr size_t kWidth = 9;  // of a rank's column

double milliseconds(double ns) { return ns / 1e6; }

double share(int64_t part, int64_t whole) {
  return whole == 0 ? 0 : 100 * static_cast<double>(part) / static_cast<double>(whole);
}

template <typename Value>
std::string line(std::string_view name, std::string_view times, const PhaseReport& report,
                 Value value) {
  std::string text = fmt::format("  {:<20} {:>5}", name, times);
  for (const RankReport& rank : report.ranks) text += fmt::format("{:>{}}", value(rank), kWidth);
  return text + "\n";
}

// Microseconds each time.
std::string per_place(int64_t ns, const PhaseReport& report, size_t module) {
  const auto times = static_cast<double>(report.places[module] * std::ssize(report.windows));
  return fmt::format("{:.1f}", static_cast<double>(ns) / 1e3 / times);
}

std::string module_lines(const PhaseReport& report, ModuleTimes RankReport::*times,
                         std::string_view prefix) {
  std::string text;
  for (size_t module = 0; module < kNumModules; ++module) {
    const bool any = std::any_of(report.ranks.begin(), report.ranks.end(),
                                 [&](const RankReport& rank) { return (rank.*times)[module] > 0; });
    if (!any) continue;
    text += line(fmt::format("{}{}", prefix, name_of(static_cast<Module>(module))),
                 fmt::format("x {}", report.places[module]), report, [&](const RankReport& rank) {
                   return per_place((rank.*times)[module], report, module);
                 });
  }
  return text;
}

std::string heading(const PhaseReport& report) {
  std::vector<double> ms;
  for (const StepWindow& window : report.windows) {
    ms.push_back(milliseconds(static_cast<double>(window.to_ns - window.from_ns)));
  }
  const auto [least, most] = std::minmax_element(ms.begin(), ms.end());
  const auto steps = static_cast<double>(ms.size());
  std::string text =
      fmt::format("{}: {} step{} of {}, {:.2f} ms each [{:.2f}, {:.2f}]\n", report.name, ms.size(),
                  ms.size() == 1 ? "" : "s", report.work,
                  milliseconds(static_cast<double>(report.wall_ns())) / steps, *least, *most);
  text += fmt::format("  {:<20} {:>5}", "us a layer", "");
  for (size_t rank = 0; rank < report.ranks.size(); ++rank) {
    text += fmt::format("{:>{}}", fmt::format("rank {}", rank), kWidth);
  }
  return text + "\n";
}

// What communication there was, and what became of it.
std::string communication(const PhaseReport& report) {
  const auto none = [](const RankReport& rank) { return rank.occupancy.communication() == 0; };
  if (std::all_of(report.ranks.begin(), report.ranks.end(), none)) return {};
  const auto per_step = [&](int64_t ns) {
    return fmt::format("{:.1f}",
                       static_cast<double>(ns) / 1e3 / static_cast<double>(report.windows.size()));
  };
  std::string text = "  communication, us a step\n";
  text += line("  hidden", "", report,
               [&](const RankReport& rank) { return per_step(rank.occupancy.hidden); });
  text += line("  exposed", "", report,
               [&](const RankReport& rank) { return per_step(rank.occupancy.exposed); });
  text += line("    late ranks", "", report,
               [&](const RankReport& rank) { return per_step(rank.waiting_ns); });
  text += line("  share hidden", "", report, [](const RankReport& rank) {
    return fmt::format("{:.0f} %", share(rank.occupancy.hidden, rank.occupancy.communication()));
  });
  return text;
}

std::string slowest(const PhaseReport& report) {
  if (report.ranks.size() == 1) return {};
  const size_t rank = report.slowest();
  const auto busy = static_cast<double>(report.ranks[rank].occupancy.busy());
  double all = 0;
  for (const RankReport& other : report.ranks) all += static_cast<double>(other.occupancy.busy());
  const double mean = all / static_cast<double>(report.ranks.size());
  return fmt::format(
      "  slowest rank: {}, it computes {:.2f} ms a step, {:.1f} % more than the mean\n", rank,
      milliseconds(busy / static_cast<double>(report.windows.size())),
      mean == 0 ? 0 : 100 * (busy / mean - 1));
}

Json to_json(const ModuleTimes& times) {
  Json json = Json::object();
  for (size_t module = 0; module < kNumModules; ++module) {
    if (times[module] > 0) json[std::string(name_of(static_cast<Module>(module)))] = times[module];
  }
  return json;
}

// Of the ranks of this report.
std::string rank_columns(const PhaseReport& report) {
  std::string text = heading(report);
  text += module_lines(report, &RankReport::times, "");
  text += line("step", "", report, [&](const RankReport& rank) {
    return fmt::format("{:.1f}", static_cast<double>(rank.occupancy.wall()) / 1e3 /
                                     static_cast<double>(report.windows.size()));
  });
  const std::string beside = module_lines(report, &RankReport::beside, "  ");
  if (!beside.empty()) text += "  beside these, on other lanes\n" + beside;
  return text + communication(report);
}

}  // namespace

std::string to_table(const PhaseReport& report, size_t width) {
  constexpr size_t kNames = 28;  // columns before the first rank's
  const size_t room = width > kNames + kWidth ? (width - kNames) / kWidth : 1;
  PhaseReport shown = report;
  shown.ranks.resize(std::min(report.ranks.size(), room));
  std::string text = rank_columns(shown) + slowest(report);
  if (shown.ranks.size() == report.ranks.size()) return text;
  return text +
         wrapped(fmt::format("  ({} of {} ranks: the terminal has {} columns; the page shows "
                             "all)",
                             shown.ranks.size(), report.ranks.size(), width),
                 width, 2) +
         "\n";
}

Json to_json(const PhaseReport& report) {
  Json ranks = Json::array();
  for (const RankReport& rank : report.ranks) {
    const flow::Occupancy& o = rank.occupancy;
    ranks.push_back({{"occupancy_ns",
                      {{"computing", o.computing},
                       {"hidden", o.hidden},
                       {"exposed", o.exposed},
                       {"copying", o.copying},
                       {"idle", o.idle}}},
                     {"modules_ns", to_json(rank.times)},
                     {"beside_ns", to_json(rank.beside)},
                     {"waiting_ns", rank.waiting_ns},
                     {"waited_for", rank.waited_for}});
  }
  Json places = Json::object();
  for (size_t module = 0; module < kNumModules; ++module) {
    places[std::string(name_of(static_cast<Module>(module)))] = report.places[module];
  }
  return {{"phase", report.name},
          {"work", report.work},
          {"steps", report.windows.size()},
          {"wall_ns", report.wall_ns()},
          {"places", places},
          {"slowest_rank", report.slowest()},
          {"ranks", ranks}};
}

}  // namespace braid::cli
