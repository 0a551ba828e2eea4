#include "text/regex_dialect.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

namespace braid::text {
namespace {

constexpr std::string_view kWordSet = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc})";
// Oniguruma looks characters below U+0100 up in another table where \w stands outside of a class.
constexpr std::string_view kLatin1Word = "²³¹¼½¾";
constexpr std::string_view kSupportedEscapes =
    R"(\n \r \t \f \v \a \e \s \S \w \W \d \D \p{…} \P{…} \xHH \x{…} \uHHHH \A \z \Z)";
constexpr std::string_view kSupportedGroups = "( (?: (?= (?! (?<= (?<! (?> (?i: (?-i:";

// Properties that mean the same in both dialects under these names.
constexpr std::array<std::string_view, 39> kProperties = {
    "C",  "Cc", "Cf", "Cn", "Co", "Cs", "L",  "Ll", "Lm", "Lo", "Lt",          "Lu",         "M",
    "Mc", "Me", "Mn", "N",  "Nd", "Nl", "No", "P",  "Pc", "Pd", "Pe",          "Pf",         "Pi",
    "Po", "Ps", "S",  "Sc", "Sk", "Sm", "So", "Z",  "Zl", "Zp", "White_Space", "Alphabetic", "Zs"};

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex_digit(char c) { return std::isxdigit(static_cast<unsigned char>(c)) != 0; }
bool is_ascii_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

class Translator {
 public:
  explicit Translator(std::string_view pattern) : in_(pattern) {}

  Result<std::string> run() {
    if (take("(?i)")) out_ += "(?i)";  // at the very start it reaches over the whole pattern
    while (at_ < in_.size()) {
      switch (in_[at_]) {
        case '\\': TRY(escape(/*in_class=*/false)); break;
        case '[': TRY(character_class()); break;
        case '(': TRY(group()); break;
        case '{': TRY(brace()); break;
        default: out_ += in_[at_++];
      }
    }
    return std::move(out_);
  }

 private:
  bool take(std::string_view expected) {
    if (!in_.substr(at_).starts_with(expected)) return false;
    at_ += expected.size();
    return true;
  }

  Error refuse(std::string_view construct, std::string_view supported) const {
    return Error(ErrorKind::unsupported, "the regular expression uses a construct that isn't done")
        .with("construct", construct)
        .with("at byte", at_)
        .with("pattern", in_)
        .remedy(fmt::format("Supported here: {}.", supported));
  }

  Error unfinished(std::string_view construct) const {
    return Error(ErrorKind::corrupt_data, "the regular expression ends inside a construct")
        .with("construct", construct)
        .with("pattern", in_);
  }

  Status escape(bool in_class);
  Status property();
  Status code_point(char kind);
  Status character_class();
  Status group();
  Status brace();

  std::string_view in_;
  size_t at_ = 0;
  std::string out_;
};

// \x at at_. Both dialects agree on an escaped character that is no ASCII letter or digit.
Status Translator::escape(bool in_class) {
  if (at_ + 1 == in_.size()) return unfinished("\\");
  const char c = in_[at_ + 1];
  const std::string_view both = in_.substr(at_, 2);
  if (c == 'p' || c == 'P') return property();
  if (c == 'x' || c == 'u') return code_point(c);
  const bool anchor = c == 'A' || c == 'z' || c == 'Z';
  const bool same = std::string_view("nrtfaedD").find(c) != std::string_view::npos;
  if (c == 's' || c == 'S') {
    out_ += c == 's' ? R"(\p{White_Space})" : R"(\P{White_Space})";
  } else if (c == 'w' && in_class) {
    out_ += kWordSet;
  } else if ((c == 'w' || c == 'W') && !in_class) {
    out_ += fmt::format("[{}{}{}]", c == 'W' ? "^" : "", kWordSet, kLatin1Word);
  } else if (c == 'v') {
    out_ += R"(\x0b)";
  } else if (same || (anchor && !in_class) || !(is_ascii_letter(c) || is_digit(c))) {
    out_ += both;  // the later bytes of a long character follow as they are
  } else {
    return refuse(both, in_class ? "the escapes but \\W and the anchors" : kSupportedEscapes);
  }
  at_ += 2;
  return {};
}

// \p{Name}, \p{^Name}, \P{Name}. What is no general category must be a script.
Status Translator::property() {
  const size_t close = in_.find('}', at_);
  if (at_ + 2 == in_.size() || in_[at_ + 2] != '{') return refuse(in_.substr(at_, 2), "\\p{…}");
  if (close == std::string_view::npos) return unfinished("\\p{");
  std::string_view name = in_.substr(at_ + 3, close - at_ - 3);
  const bool negated = name.starts_with('^');
  if (negated) name.remove_prefix(1);
  const bool plain = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return is_ascii_letter(c) || c == '_';
  });
  if (!plain) return refuse(in_.substr(at_, close + 1 - at_), "categories and scripts by name");
  const bool known = std::find(kProperties.begin(), kProperties.end(), name) != kProperties.end();
  out_ +=
      fmt::format("{}{{{}{}{}}}", in_.substr(at_, 2), negated ? "^" : "", known ? "" : "sc:", name);
  at_ = close + 1;
  return {};
}

// \xHH (below 80: higher ones are bytes, not characters), \x{H…}, \uHHHH.
Status Translator::code_point(char kind) {
  const size_t begin = at_;
  at_ += 2;
  const bool braced = kind == 'x' && take("{");
  const size_t most = braced ? 6 : kind == 'x' ? 2 : 4;
  const size_t digits_at = at_;
  while (at_ < in_.size() && at_ - digits_at < most && is_hex_digit(in_[at_])) ++at_;
  const std::string_view digits = in_.substr(digits_at, at_ - digits_at);
  uint32_t value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  const bool closed = !braced || take("}");
  const bool complete = kind == 'x' ? !digits.empty() : digits.size() == 4;
  if (!closed || !complete || (kind == 'x' && !braced && value >= 0x80)) {
    return refuse(in_.substr(begin, at_ - begin), kSupportedEscapes);
  }
  out_ += fmt::format("\\x{{{}}}", digits);
  return {};
}

Status Translator::character_class() {
  out_ += in_[at_++];
  if (take("^")) out_ += '^';
  if (take("]")) out_ += "\\]";
  while (at_ < in_.size()) {
    const char c = in_[at_];
    if (c == '[') return refuse("[ inside a class", "single characters, ranges and escapes");
    if (in_.substr(at_, 2) == "&&") return refuse("&&", "single characters, ranges and escapes");
    if (c == '\\') {
      TRY(escape(/*in_class=*/true));
      continue;
    }
    out_ += c;
    ++at_;
    if (c == ']') return {};
  }
  return unfinished("[");
}

// Nothing refers to a group, so capturing ones need not capture.
Status Translator::group() {
  constexpr std::array<std::string_view, 8> kOpeners = {
      "(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:", "(?-i:"};
  for (const std::string_view opener : kOpeners) {
    if (take(opener)) {
      out_ += opener;
      return {};
    }
  }
  const std::string_view start = in_.substr(at_, 3);
  if (start.starts_with("(?") || start.starts_with("(*")) return refuse(start, kSupportedGroups);
  out_ += "(?:";
  ++at_;
  return {};
}

// {n}, {n,}, {n,m}, {,m} repeat; any other { is a literal.
Status Translator::brace() {
  const size_t begin = at_++;
  const auto number = [&] {
    const size_t from = at_;
    while (at_ < in_.size() && is_digit(in_[at_])) ++at_;
    return in_.substr(from, at_ - from);
  };
  const std::string_view low = number();
  const bool comma = take(",");
  const std::string_view high = comma ? number() : low;
  if ((low.empty() && high.empty()) || !take("}")) {
    out_ += "\\{";
    at_ = begin + 1;
    return {};
  }
  const char next = at_ < in_.size() ? in_[at_] : '\0';
  if (next == '+' || (next == '?' && !comma)) {
    return refuse(in_.substr(begin, at_ + 1 - begin), "{n} {n,} {n,m} {,m} {n,}? {n,m}?");
  }
  out_ += fmt::format("{{{}{}{}}}", low.empty() ? "0" : low, comma ? "," : "", comma ? high : "");
  return {};
}

}  // namespace

Result<std::string> to_pcre2_dialect(std::string_view pattern) { return Translator(pattern).run(); }

}  // namespace braid::text
