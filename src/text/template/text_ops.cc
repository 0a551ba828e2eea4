#include "text/template/text_ops.h"

#include <algorithm>
#include <cstring>

#include "text/template/unicode.h"
#include "text/utf8.h"

namespace braid::text::tmpl {
namespace {

constexpr size_t kNotFound = std::string_view::npos;

// The start of the code point that ends at byte `end`.
size_t previous(std::string_view text, size_t end) {
  do {
    --end;
  } while ((static_cast<unsigned char>(text[end]) & 0xc0) == 0x80);
  return end;
}

// Strips the code points for which `drop` is true.
template <typename Drop>
std::string_view strip_if(std::string_view text, Side side, const Drop& drop) {
  size_t begin = 0;
  size_t end = text.size();
  while (side != Side::right && begin < end) {
    size_t next = begin;
    if (!drop(read_char(text, next))) break;
    begin = next;
  }
  while (side != Side::left && end > begin) {
    const size_t start = previous(text, end);
    size_t at = start;
    if (!drop(read_char(text, at))) break;
    end = start;
  }
  return text.substr(begin, end - begin);
}

bool is_line_end(char32_t code) {
  return (code >= 0xa && code <= 0xd) || (code >= 0x1c && code <= 0x1e) || code == 0x85 ||
         code == 0x2028 || code == 0x2029;
}

// The first white space of `text`, or its size.
size_t find_space(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    size_t next = at;
    if (is_space(read_char(text, next))) break;
    at = next;
  }
  return at;
}

// The place where the last word of `text` starts.
size_t find_last_word(std::string_view text) {
  size_t begin = text.size();
  while (begin > 0) {
    const size_t start = previous(text, begin);
    size_t at = start;
    if (is_space(read_char(text, at))) break;
    begin = start;
  }
  return begin;
}

std::string replace_nothing(std::string_view text, std::string_view to, int64_t limit) {
  std::string out;
  int64_t done = 0;
  const auto insert = [&] {
    if (limit < 0 || done < limit) out += to;
    ++done;
  };
  for (size_t at = 0; at < text.size();) {
    insert();
    const size_t bytes = char_bytes(text[at]);
    out += text.substr(at, bytes);
    at += bytes;
  }
  insert();
  return out;
}

}  // namespace

size_t find_first(std::string_view text, std::string_view part, size_t from) {
  if (from > text.size()) return kNotFound;
  // Unlike std::string_view::find, memmem is linear.
  const void* found = memmem(text.data() + from, text.size() - from, part.data(), part.size());
  return found == nullptr ? kNotFound
                          : static_cast<size_t>(static_cast<const char*>(found) - text.data());
}

size_t find_last(std::string_view text, std::string_view part) {
  // The last occurrence is the first one of the reversed part in the reversed text.
  const std::string mirrored(text.rbegin(), text.rend());
  const std::string mirrored_part(part.rbegin(), part.rend());
  const size_t found = find_first(mirrored, mirrored_part);
  return found == kNotFound ? kNotFound : text.size() - found - part.size();
}

int64_t count_occurrences(std::string_view text, std::string_view part) {
  if (part.empty()) return count_chars(text) + 1;
  int64_t count = 0;
  for (size_t at = find_first(text, part); at != kNotFound;
       at = find_first(text, part, at + part.size())) {
    ++count;
  }
  return count;
}

std::string_view strip_space(std::string_view text, Side side) {
  return strip_if(text, side, is_space);
}

std::string_view strip_chars(std::string_view text, std::string_view chars, Side side) {
  std::u32string set;
  for (size_t at = 0; at < chars.size();) set.push_back(read_char(chars, at));
  std::sort(set.begin(), set.end());
  return strip_if(text, side,
                  [&](char32_t code) { return std::binary_search(set.begin(), set.end(), code); });
}

int64_t replaced_size(std::string_view text, std::string_view from, std::string_view to,
                      int64_t limit) {
  int64_t count = count_occurrences(text, from);
  if (limit >= 0) count = std::min(count, limit);
  // Neither factor is above 2^31: texts are bounded by a rendering's budget.
  const int64_t growth = static_cast<int64_t>(to.size()) - static_cast<int64_t>(from.size());
  return static_cast<int64_t>(text.size()) + count * growth;
}

std::string replace_all(std::string_view text, std::string_view from, std::string_view to,
                        int64_t limit) {
  if (from.empty()) return replace_nothing(text, to, limit);
  std::string out;
  size_t at = 0;
  for (int64_t done = 0; limit < 0 || done < limit; ++done) {
    const size_t found = find_first(text, from, at);
    if (found == kNotFound) break;
    out += text.substr(at, found - at);
    out += to;
    at = found + from.size();
  }
  out += text.substr(at);
  return out;
}

std::vector<std::string_view> split_space(std::string_view text, int64_t limit, Side from) {
  std::vector<std::string_view> parts;
  text = strip_space(text, from);
  while (!text.empty() && (limit < 0 || static_cast<int64_t>(parts.size()) < limit)) {
    if (from == Side::left) {
      const size_t end = find_space(text);
      parts.push_back(text.substr(0, end));
      text = strip_space(text.substr(end), from);
    } else {
      const size_t begin = find_last_word(text);
      parts.push_back(text.substr(begin));
      text = strip_space(text.substr(0, begin), from);
    }
  }
  if (!text.empty()) parts.push_back(text);
  if (from == Side::right) std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string_view> split_at(std::string_view text, std::string_view separator,
                                       int64_t limit, Side from) {
  std::vector<size_t> cuts;
  if (from == Side::left) {
    for (size_t at = find_first(text, separator);
         at != kNotFound && (limit < 0 || static_cast<int64_t>(cuts.size()) < limit);
         at = find_first(text, separator, at + separator.size())) {
      cuts.push_back(at);
    }
  } else {
    const std::string mirrored(text.rbegin(), text.rend());
    const std::string part(separator.rbegin(), separator.rend());
    for (size_t at = find_first(mirrored, part);
         at != kNotFound && (limit < 0 || static_cast<int64_t>(cuts.size()) < limit);
         at = find_first(mirrored, part, at + part.size())) {
      cuts.push_back(text.size() - at - part.size());
    }
    std::reverse(cuts.begin(), cuts.end());
  }
  std::vector<std::string_view> parts;
  size_t begin = 0;
  for (const size_t cut : cuts) {
    parts.push_back(text.substr(begin, cut - begin));
    begin = cut + separator.size();
  }
  parts.push_back(text.substr(begin));
  return parts;
}

std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends) {
  std::vector<std::string_view> lines;
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = at;
    const char32_t code = read_char(text, at);
    if (!is_line_end(code)) continue;
    if (code == '\r' && at < text.size() && text[at] == '\n') ++at;
    lines.push_back(text.substr(begin, (keep_ends ? at : end) - begin));
    begin = at;
  }
  if (begin < text.size()) lines.push_back(text.substr(begin));
  return lines;
}

}  // namespace braid::text::tmpl
