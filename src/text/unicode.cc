#include "text/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <iterator>
#include <memory>

#include "text/utf8.h"

namespace braid::text {
namespace {

struct StandIn {
  char32_t first;
  char32_t last;
  char32_t older;
};
struct CodeRange {
  char32_t first;
  char32_t last;
};

#include "text/unicode_tables.inc"

// The range that holds `c`, or null.
template <typename Range, size_t size>
const Range* find_range(const Range (&ranges)[size], char32_t c) {
  const auto* behind = std::upper_bound(std::begin(ranges), std::end(ranges), c,
                                        [](char32_t a, const Range& b) { return a < b.first; });
  if (behind == std::begin(ranges)) return nullptr;
  const Range* range = std::prev(behind);
  return c <= range->last ? range : nullptr;
}

char32_t stand_in(char32_t c) {
  const StandIn* range = find_range(kStandIns, c);
  return range == nullptr ? c : range->older;
}

utf8proc_category_t category_of(char32_t code_point) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(stand_in(code_point)));
}

// Symbols with Other_Alphabetic: circled, squared and negative letters.
bool is_enclosed_letter(char32_t c) {
  return (c >= 0x24b6 && c <= 0x24e9) || (c >= 0x1f130 && c <= 0x1f149) ||
         (c >= 0x1f150 && c <= 0x1f169) || (c >= 0x1f170 && c <= 0x1f189);
}

utf8proc_option_t options_of(NormalForm form) {
  int options = UTF8PROC_STABLE;
  const bool composed = form == NormalForm::nfc || form == NormalForm::nfkc;
  const bool compatible = form == NormalForm::nfkc || form == NormalForm::nfkd;
  options |= composed ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE;
  if (compatible) options |= UTF8PROC_COMPAT;
  return static_cast<utf8proc_option_t>(options);
}

// A text without characters of kUnknownToNormalForms.
Result<std::string> map_to_form(std::string_view text, NormalForm form) {
  if (text.empty()) return std::string();
  utf8proc_uint8_t* mapped = nullptr;
  const utf8proc_ssize_t bytes =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &mapped, options_of(form));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(mapped, &std::free);
  if (bytes < 0) {
    return Error(ErrorKind::exhausted, "cannot bring the text into a Unicode normal form")
        .with("bytes", text.size())
        .with("reason", utf8proc_errmsg(bytes));
  }
  return std::string(reinterpret_cast<const char*>(mapped), static_cast<size_t>(bytes));
}

// Letters that got a lower case after Unicode 15; those of a range lie as far apart.
struct LowerCase {
  char32_t first;
  char32_t last;
  char32_t lower;  // of the first
};
constexpr LowerCase kLowerCase[] = {{0x1c89, 0x1c89, 0x1c8a},    {0xa7cb, 0xa7cb, 0x264},
                                    {0xa7cc, 0xa7cc, 0xa7cd},    {0xa7ce, 0xa7ce, 0xa7cf},
                                    {0xa7d2, 0xa7d2, 0xa7d3},    {0xa7d4, 0xa7d4, 0xa7d5},
                                    {0xa7da, 0xa7da, 0xa7db},    {0xa7dc, 0xa7dc, 0x19b},
                                    {0x10d50, 0x10d65, 0x10d70}, {0x16ea0, 0x16eb8, 0x16ebb}};

}  // namespace

bool is_white_space(char32_t c) {
  if (c < 0x80) return c == ' ' || (c >= 9 && c <= 13);
  return c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 ||
         c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

bool is_word(char32_t c) {
  switch (category_of(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC: return true;
    case UTF8PROC_CATEGORY_SO: return is_enclosed_letter(c);
    default: return c == 0x200c || c == 0x200d;  // Join_Control
  }
}

bool is_numeric(char32_t c) {
  if ((c >= 0x11de0 && c <= 0x11de9) || (c >= 0x16ff4 && c <= 0x16ff6)) return true;  // Unicode 17
  const utf8proc_category_t category = category_of(c);
  return category == UTF8PROC_CATEGORY_ND || category == UTF8PROC_CATEGORY_NL ||
         category == UTF8PROC_CATEGORY_NO;
}

bool is_punctuation(char32_t c) {
  if (c < 0x80) return c > ' ' && c < 0x7f && !std::isalnum(static_cast<int>(c));
  if (c == 0x166d || c == 0x111c9) return true;  // by Unicode 7, no longer
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO &&
         find_range(kNoPunctuation, c) == nullptr;
}

size_t find_newer(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    if (static_cast<unsigned char>(text[at]) < 0xe0) {  // none of them has less than three bytes
      ++at;
      continue;
    }
    const size_t begin = at;
    if (find_range(kStandIns, read_char(text, at)) != nullptr) return begin;
  }
  return std::string_view::npos;
}

std::string with_stand_ins(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) append_utf8(out, stand_in(read_char(text, at)));
  return out;
}

std::string to_lower_case(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const char32_t c = read_char(text, at);
    const LowerCase* newer = find_range(kLowerCase, c);
    if (c == 0x130) {
      out += "i\u0307";
    } else if (newer != nullptr) {
      append_utf8(out, newer->lower + (c - newer->first));
    } else {
      append_utf8(out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))));
    }
  }
  return out;
}

Result<std::string> to_normal_form(std::string_view text, NormalForm form) {
  const auto is_ascii = [](char c) { return static_cast<unsigned char>(c) < 0x80; };
  if (std::all_of(text.begin(), text.end(), is_ascii)) return std::string(text);
  std::string out;
  size_t known = 0;  // where the characters begin that are not in `out` yet
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    if (find_range(kUnknownToNormalForms, read_char(text, at)) == nullptr) continue;
    out += TRY(map_to_form(text.substr(known, begin - known), form));
    out += text.substr(begin, at - begin);
    known = at;
  }
  out += TRY(map_to_form(text.substr(known), form));
  return out;
}

}  // namespace braid::text
