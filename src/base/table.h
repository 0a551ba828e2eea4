// Tables of text for a terminal: columns that don't fit are left out, the least useful first.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace braid {

class Table {
 public:
  struct Column {
    std::string heading;
    int keep = 0;       // the higher, the sooner a column is left out; of 0 never
    bool left = false;  // how cells are aligned
  };
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  // A cell for each column.
  void row(std::vector<std::string> cells);
  // A line of text below the last row, wrapped.
  void note(std::string text);

  // In so many columns of a terminal, as far as those that are never left out allow. Says below
  // which ones were.
  std::string text(size_t width) const;

 private:
  struct Line {
    std::vector<std::string> cells;  // none: a note
    std::string note;
  };

  std::vector<size_t> widths() const;

  std::vector<Column> columns_;
  std::vector<Line> lines_;
};

}  // namespace braid
