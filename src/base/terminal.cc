#include "base/terminal.h"

#include <sys/ioctl.h>

#include <algorithm>
#include <charconv>

namespace braid {
namespace {

// The character at the beginning of `text` and its length in bytes; a stray byte is one of its own.
struct Character {
  char32_t code = 0;
  size_t bytes = 1;
};

Character first_character(std::string_view text) {
  const auto byte = [&text](size_t i) { return static_cast<unsigned char>(text[i]); };
  const size_t bytes = byte(0) < 0x80 ? 1 : byte(0) >= 0xf0 ? 4 : byte(0) >= 0xe0 ? 3 : 2;
  if (bytes == 1 || byte(0) < 0xc0 || bytes > text.size()) return {byte(0), 1};
  char32_t code = byte(0) & (0xffu >> (bytes + 1));
  for (size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {byte(0), 1};
    code = code << 6 | (byte(i) & 0x3fu);
  }
  return {code, bytes};
}

// The blocks of wide characters and of combining marks: enough for names of models and files.
size_t columns_of(char32_t code) {
  struct Block {
    char32_t first, last;
  };
  constexpr Block kWide[] = {{0x1100, 0x115f},   {0x2e80, 0x303e},   {0x3041, 0xa4cf},
                             {0xac00, 0xd7a3},   {0xf900, 0xfaff},   {0xfe30, 0xfe6f},
                             {0xff00, 0xff60},   {0xffe0, 0xffe6},   {0x1f300, 0x1f64f},
                             {0x1f680, 0x1f6ff}, {0x1f900, 0x1faff}, {0x20000, 0x3fffd}};
  constexpr Block kNone[] = {{0x300, 0x36f}, {0x200b, 0x200f}, {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}};
  const auto within = [code](const Block& block) {
    return code >= block.first && code <= block.last;
  };
  if (std::any_of(std::begin(kNone), std::end(kNone), within)) return 0;
  return std::any_of(std::begin(kWide), std::end(kWide), within) ? 2 : 1;
}

}  // namespace

size_t terminal_columns(int descriptor, const Environment& environment) {
  winsize size = {};
  if (ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  const std::string text = environment("COLUMNS").value_or("");
  size_t columns = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), columns);
  return parsed.ec == std::errc() && columns > 0 ? columns : kUsualColumns;
}

bool can_move_cursor(const Environment& environment) {
  const std::string terminal = environment("TERM").value_or("");
  return !terminal.empty() && terminal != "dumb";
}

size_t columns_of(std::string_view text) {
  size_t columns = 0;
  while (!text.empty()) {
    const Character character = first_character(text);
    columns += columns_of(character.code);
    text.remove_prefix(character.bytes);
  }
  return columns;
}

std::string fitted(std::string_view text, size_t columns) {
  if (columns_of(text) <= columns) return std::string(text);
  if (columns == 0) return {};
  size_t used = 1, bytes = 0;  // the ellipsis
  while (bytes < text.size()) {
    const Character character = first_character(text.substr(bytes));
    if (used + columns_of(character.code) > columns) break;
    used += columns_of(character.code);
    bytes += character.bytes;
  }
  return std::string(text.substr(0, bytes)) + "…";
}

std::string wrapped(std::string_view text, size_t columns, size_t indent) {
  std::string out;
  size_t used = 0;
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    const size_t width = columns_of(word);
    if (used > 0 && used + 1 + width > columns) {
      out += "\n" + std::string(indent, ' ');
      used = indent;
    } else if (used > 0) {
      out += ' ';
      ++used;
    }
    out += word;
    used += width;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

}  // namespace braid
