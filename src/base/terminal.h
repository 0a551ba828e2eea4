// What a terminal can show: how wide it is, and whether it can move its cursor.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace braid {

inline constexpr size_t kUsualColumns = 80;  // where nobody says how wide a terminal is

// An environment variable's value.
using Environment = std::function<std::optional<std::string>(const std::string&)>;

// The terminal's own width, or else COLUMNS, or else kUsualColumns.
size_t terminal_columns(int descriptor, const Environment& environment);

// Whether lines can be replaced and colours shown: not with TERM=dumb or without TERM.
bool can_move_cursor(const Environment& environment);

// Columns that a line of UTF-8 takes: two for a wide character, none for one that combines.
size_t columns_of(std::string_view text);

// The beginning of a line that fits into so many columns, ended by "…" where anything is left out.
std::string fitted(std::string_view text, size_t columns);

// The text with its words on lines of at most `columns`, where words allow it; every line but the
// first is indented by so many spaces.
std::string wrapped(std::string_view text, size_t columns, size_t indent = 0);

}  // namespace braid
