#include "text/template/string_literal.h"

#include "text/utf8.h"

#include <charconv>

namespace braid::text::tmpl {
namespace {

constexpr std::string_view kLetters = "nrtbfva\\'\"";
constexpr std::string_view kMeanings = "\n\r\t\b\f\v\a\\'\"";

// Appends the code point written with `count` hex digits at `at`, which moves behind them.
Status append_hex(std::string_view text, size_t count, size_t& at, std::string& out) {
  const std::string_view digits = text.substr(at, count);
  uint32_t code = 0;
  const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
  if (digits.size() < count || end.ptr != digits.data() + count) {
    return Error(ErrorKind::corrupt_data, "a string has a broken hex escape");
  }
  if (code > 0x10ffff) {
    return Error(ErrorKind::corrupt_data, "a string escapes a code point beyond Unicode");
  }
  if (code >= 0xd800 && code < 0xe000) {
    return Error(ErrorKind::unsupported, "a string escapes half of a surrogate pair")
        .remedy("Write the code point itself, or \\U and 8 digits.");
  }
  append_utf8(out, code);
  at += count;
  return {};
}

// Up to three octal digits, of which the first is at `at`.
void append_octal(std::string_view text, size_t& at, std::string& out) {
  uint32_t code = 0;
  for (int i = 0; i < 3 && at < text.size() && text[at] >= '0' && text[at] <= '7'; ++i) {
    code = code * 8 + static_cast<uint32_t>(text[at++] - '0');
  }
  append_utf8(out, code);
}

// The escape whose letter is at `at`, which moves behind it.
Status append_escape(std::string_view text, size_t& at, std::string& out) {
  const char letter = text[at];
  if (letter >= '0' && letter <= '7') {
    append_octal(text, at, out);
    return {};
  }
  ++at;
  if (const size_t known = kLetters.find(letter); known != std::string_view::npos) {
    out += kMeanings[known];
    return {};
  }
  switch (letter) {
    case '\n': return {};
    case 'x': return append_hex(text, 2, at, out);
    case 'u': return append_hex(text, 4, at, out);
    case 'U': return append_hex(text, 8, at, out);
    case 'N': return Error(ErrorKind::unsupported, "a string names a character with \\N");
    default: break;
  }
  if (static_cast<unsigned char>(letter) >= 0x80) {
    return Error(ErrorKind::unsupported,
                 "a string has a backslash before a letter outside of ASCII");
  }
  out += '\\';
  out += letter;
  return {};
}

}  // namespace

std::string normalize_newlines(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n') continue;
    out += text[i] == '\r' ? '\n' : text[i];
  }
  return out;
}

Result<std::string> unescape(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    if (text[at] != '\\') {
      out += text[at++];
      continue;
    }
    ++at;  // a letter follows: a string never ends in a single backslash
    TRY(append_escape(text, at, out));
  }
  return out;
}

}  // namespace braid::text::tmpl
