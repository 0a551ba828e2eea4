#include "cli/technique_table.h"

#include <algorithm>

#include "base/json.h"
#include "base/table.h"
#include "base/terminal.h"

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

std::string technique_table(std::span<const TechniqueRow> rows, std::span<const LeftOut> left_out,
                            size_t width) {
  const bool again =
      std::any_of(rows.begin(), rows.end(), [](const auto& row) { return row.again.has_value(); });
  std::vector<Table::Column> columns = {
      {.heading = "technique", .left = true}, {.heading = "serial ms", .keep = 3},
      {.heading = "with it ms", .keep = 2},   {.heading = "times as fast"},
      {.heading = "share hidden", .keep = 4}, {.heading = "results", .keep = 1, .left = true}};
  if (again) columns.insert(columns.begin() + 4, {.heading = "serial twice", .keep = 5});
  Table table(std::move(columns));
  for (const TechniqueRow& row : rows) {
    const std::string hidden =
        row.hidden ? fmt::format("{:.0f} % [{:.0f}, {:.0f}]", 1e2 * row.hidden->median,
                                 1e2 * row.hidden->low, 1e2 * row.hidden->high)
                   : "";
    std::vector<std::string> cells = {row.pair.technique,
                                      milliseconds(row.before.median),
                                      milliseconds(row.after.median),
                                      ratio_text(row.ratio),
                                      hidden,
                                      exactness(row)};
    if (again) cells.insert(cells.begin() + 4, row.again ? ratio_text(*row.again) : "");
    table.row(std::move(cells));
    table.note(row.pair.setting);
    table.note(fmt::format("published: {}", row.pair.published));
  }
  std::string text = table.text(width);
  for (const LeftOut& one : left_out) {
    text += wrapped(fmt::format("{}: left out, {}", one.technique, one.why), width, 4) + "\n";
  }
  if (!rows.empty()) {
    text += wrapped(
                "times as fast: the median of the ratios of runs that were made in turn, with "
                "its interval of 95 %; it need not be the ratio of the medians beside it",
                width) +
            "\n";
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
