#include "base/table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

#include "base/status.h"
#include "base/terminal.h"

namespace braid {
namespace {

constexpr size_t kGap = 2;  // between columns

std::string padded(const std::string& text, size_t width, bool left) {
  const std::string spaces(width - std::min(width, columns_of(text)), ' ');
  return left ? text + spaces : spaces + text;
}

}  // namespace

void Table::row(std::vector<std::string> cells) {
  BRAID_CHECK(cells.size() == columns_.size(), "({} cells, {} columns)", cells.size(),
              columns_.size());
  lines_.push_back({std::move(cells), {}});
}

void Table::note(std::string text) { lines_.push_back({{}, std::move(text)}); }

std::vector<size_t> Table::widths() const {
  std::vector<size_t> widths;
  for (size_t i = 0; i < columns_.size(); ++i) {
    size_t width = columns_of(columns_[i].heading);
    for (const Line& line : lines_) {
      if (!line.cells.empty()) width = std::max(width, columns_of(line.cells[i]));
    }
    widths.push_back(width);
  }
  return widths;
}

std::string Table::text(size_t width) const {
  const std::vector<size_t> widths = this->widths();
  std::vector<size_t> shown(columns_.size());
  std::iota(shown.begin(), shown.end(), size_t{0});
  std::vector<std::string> left_out;
  const auto total = [&] {
    size_t sum = kGap * (shown.size() - 1);
    for (const size_t column : shown) sum += widths[column];
    return sum;
  };
  while (total() > width) {
    const auto least = std::max_element(shown.begin(), shown.end(), [this](size_t a, size_t b) {
      return columns_[a].keep < columns_[b].keep;
    });
    if (columns_[*least].keep == 0) break;
    left_out.push_back(columns_[*least].heading);
    shown.erase(least);
  }

  std::string text;
  const auto add = [&](auto cell_of) {
    std::string line;
    for (const size_t column : shown) {
      if (!line.empty()) line += std::string(kGap, ' ');
      line += padded(cell_of(column), widths[column], columns_[column].left);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  };
  add([this](size_t column) { return columns_[column].heading; });
  for (const Line& line : lines_) {
    if (line.cells.empty()) {
      text += "  " + wrapped(line.note, width - std::min<size_t>(width, 2), 4) + "\n";
    } else {
      add([&line](size_t column) { return line.cells[column]; });
    }
  }
  if (!left_out.empty()) {
    text += wrapped(fmt::format("(left out, the terminal has {} columns: {})", width,
                                fmt::join(left_out, ", ")),
                    width) +
            "\n";
  }
  return text;
}

}  // namespace braid
