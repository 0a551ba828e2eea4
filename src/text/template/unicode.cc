#include "text/template/unicode.h"

#include <algorithm>
#include <cstdint>
#include <span>

#include "text/utf8.h"

namespace braid::text::tmpl {
namespace {

struct CaseRun {
  uint32_t first, last;
  int32_t delta;
  uint32_t stride;
};
struct CaseExpansion {
  uint32_t from;
  uint32_t to[3];  // ends at the first zero
};

#include "text/template/unicode_case.inc"
#include "text/template/unicode_sets.inc"

constexpr char32_t kCapitalSigma = 0x3a3;
constexpr char32_t kSmallSigma = 0x3c3;
constexpr char32_t kFinalSigma = 0x3c2;

bool in_set(std::span<const uint32_t> flips, char32_t code) {
  const auto after = std::upper_bound(flips.begin(), flips.end(), static_cast<uint32_t>(code));
  return (after - flips.begin()) % 2 == 1;
}

const CaseRun* find_run(std::span<const CaseRun> runs, char32_t code) {
  const auto run = std::lower_bound(runs.begin(), runs.end(), static_cast<uint32_t>(code),
                                    [](const CaseRun& r, uint32_t c) { return r.last < c; });
  if (run == runs.end() || code < run->first || (code - run->first) % run->stride != 0) {
    return nullptr;
  }
  return &*run;
}

struct CaseTable {
  std::span<const CaseRun> runs;
  std::span<const CaseExpansion> several;
};
const CaseTable kLowerTable{kToLower, kToLowerSeveral};
const CaseTable kUpperTable{kToUpper, kToUpperSeveral};
const CaseTable kTitleTable{kToTitle, kToTitleSeveral};

void append_mapped(std::string& out, const CaseTable& table, char32_t code) {
  for (const CaseExpansion& expansion : table.several) {
    if (expansion.from != code) continue;
    for (const uint32_t to : expansion.to) {
      if (to != 0) append_utf8(out, to);
    }
    return;
  }
  const CaseRun* run = find_run(table.runs, code);
  append_utf8(out, run == nullptr ? code : static_cast<char32_t>(code + run->delta));
}

bool is_cased(char32_t code) { return is_lower(code) || is_upper(code) || is_titlecase(code); }

// A capital sigma is final behind a cased letter and before none, case-ignorable ones skipped.
bool is_final_sigma(const std::u32string& codes, size_t at) {
  const auto ignorable = [](char32_t code) { return in_set(kCaseIgnorable, code); };
  size_t before = at;
  while (before > 0 && ignorable(codes[before - 1])) --before;
  if (before == 0 || !is_cased(codes[before - 1])) return false;
  size_t after = at + 1;
  while (after < codes.size() && ignorable(codes[after])) ++after;
  return after == codes.size() || !is_cased(codes[after]);
}

void append_lower(std::string& out, const std::u32string& codes, size_t at) {
  if (codes[at] == kCapitalSigma) {
    append_utf8(out, is_final_sigma(codes, at) ? kFinalSigma : kSmallSigma);
  } else {
    append_mapped(out, kLowerTable, codes[at]);
  }
}

template <bool (*wanted)(char32_t), bool (*unwanted)(char32_t)>
bool all_cased(std::string_view text) {
  bool any = false;
  for (size_t at = 0; at < text.size();) {
    const char32_t code = read_char(text, at);
    if (unwanted(code) || is_titlecase(code)) return false;
    any = any || wanted(code);
  }
  return any;
}

std::u32string decode(std::string_view text) {
  std::u32string codes;
  codes.reserve(text.size());
  for (size_t at = 0; at < text.size();) codes.push_back(read_char(text, at));
  return codes;
}

}  // namespace

bool is_space(char32_t code) {
  return (code >= 0x9 && code <= 0xd) || (code >= 0x1c && code <= 0x20) || code == 0x85 ||
         code == 0xa0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200a) || code == 0x2028 ||
         code == 0x2029 || code == 0x202f || code == 0x205f || code == 0x3000;
}
bool is_alpha(char32_t code) { return in_set(kAlpha, code); }
bool is_decimal(char32_t code) { return in_set(kDecimal, code); }
bool is_digit(char32_t code) { return in_set(kDigit, code); }
bool is_numeric(char32_t code) { return in_set(kNumeric, code); }
bool is_lower(char32_t code) { return find_run(kLower, code) != nullptr; }
bool is_upper(char32_t code) { return find_run(kUpper, code) != nullptr; }
bool is_titlecase(char32_t code) { return in_set(kTitlecase, code); }
bool is_printable(char32_t code) { return in_set(kPrintable, code); }

bool all_lower(std::string_view text) { return all_cased<is_lower, is_upper>(text); }
bool all_upper(std::string_view text) { return all_cased<is_upper, is_lower>(text); }

std::string to_upper(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) append_mapped(out, kUpperTable, read_char(text, at));
  return out;
}

std::string to_lower(std::string_view text) {
  const std::u32string codes = decode(text);
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < codes.size(); ++i) append_lower(out, codes, i);
  return out;
}

std::string to_title(std::string_view text) {
  const std::u32string codes = decode(text);
  std::string out;
  out.reserve(text.size());
  bool in_word = false;
  for (size_t i = 0; i < codes.size(); ++i) {
    if (in_word) {
      append_lower(out, codes, i);
    } else {
      append_mapped(out, kTitleTable, codes[i]);
    }
    in_word = is_cased(codes[i]);
  }
  return out;
}

std::string capitalize(std::string_view text) {
  const std::u32string codes = decode(text);
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < codes.size(); ++i) {
    if (i == 0) {
      append_mapped(out, kTitleTable, codes[i]);
    } else {
      append_lower(out, codes, i);
    }
  }
  return out;
}

}  // namespace braid::text::tmpl
