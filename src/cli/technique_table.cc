#include "cli/technique_table.h"

#include <algorithm>

#include "base/json.h"

namespace braid::cli {
namespace {

using lab::Estimate;
using lab::LeftOut;
using lab::Phase;
using lab::TechniqueRow;

std::string exactness(const TechniqueRow& row) {
  const std::string said = row.equal ? "bitwise equal" : fmt::format("error {:.1e}", row.error);
  return row.exact() ? said : said + ": TOO LARGE";
}

// Microseconds are seen of what takes less than 10 ms.
std::string milliseconds(double seconds) {
  return seconds < 1e-2 ? fmt::format("{:.3f}", 1e3 * seconds)
                        : fmt::format("{:.2f}", 1e3 * seconds);
}

std::string ratio_text(const Estimate& ratio) {
  return fmt::format("x{:.3f} [{:.3f}, {:.3f}]", ratio.median, ratio.low, ratio.high);
}

Json to_json(const Estimate& estimate) {
  return {{"median", estimate.median}, {"low", estimate.low}, {"high", estimate.high}};
}

Json to_json(const std::optional<Estimate>& estimate) {
  return estimate ? to_json(*estimate) : Json();
}

}  // namespace

std::string technique_table(std::span<const TechniqueRow> rows, std::span<const LeftOut> left_out) {
  const bool again =
      std::any_of(rows.begin(), rows.end(), [](const auto& row) { return row.again.has_value(); });
  const auto line = [again](std::string_view technique, std::string_view before,
                            std::string_view after, std::string_view ratio, std::string_view noise,
                            std::string_view hidden, std::string_view results) {
    return fmt::format("{:<20}{:>12}{:>12}{:>24}{:>{}}{:>22}  {}\n", technique, before, after,
                       ratio, noise, again ? 24 : 0, hidden, results);
  };
  std::string text = line("technique", "serial ms", "with it ms", "times as fast",
                          again ? "serial twice" : "", "share hidden", "results");
  for (const TechniqueRow& row : rows) {
    const std::string hidden =
        row.hidden ? fmt::format("{:.0f} % [{:.0f}, {:.0f}]", 1e2 * row.hidden->median,
                                 1e2 * row.hidden->low, 1e2 * row.hidden->high)
                   : "";
    text += line(row.pair.technique, milliseconds(row.before.median),
                 milliseconds(row.after.median), ratio_text(row.ratio),
                 row.again ? ratio_text(*row.again) : "", hidden, exactness(row));
    text += fmt::format("  {}\n  published: {}\n", row.pair.setting, row.pair.published);
  }
  for (const LeftOut& one : left_out) {
    text += fmt::format("{:<20}left out: {}\n", one.technique, one.why);
  }
  return text;
}

Json technique_json(std::span<const TechniqueRow> rows) {
  Json list = Json::array();
  for (const TechniqueRow& row : rows) {
    list.push_back({{"technique", row.pair.technique},
                    {"setting", row.pair.setting},
                    {"before_seconds", to_json(row.before)},
                    {"after_seconds", to_json(row.after)},
                    {"ratio", to_json(row.ratio)},
                    {"again", to_json(row.again)},
                    {"hidden", to_json(row.hidden)},
                    {"bitwise", row.equal},
                    {"error", row.error},
                    {"published", row.pair.published}});
  }
  return list;
}

Json technique_json(std::span<const LeftOut> left_out) {
  Json list = Json::array();
  for (const LeftOut& one : left_out) {
    list.push_back({{"technique", one.technique}, {"why", one.why}});
  }
  return list;
}

}  // namespace braid::cli
