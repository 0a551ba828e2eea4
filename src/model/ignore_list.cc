#define PCRE2_CODE_UNIT_WIDTH 8
#include "model/ignore_list.h"

#include <pcre2.h>

#include <array>
#include <unordered_set>
#include <utility>

namespace braid::model {
namespace {

constexpr std::string_view kRegexPrefix = "re:";
constexpr size_t kMaxPatternBytes = 1024;
constexpr uint32_t kMaxSteps = 100'000;  // of one match
constexpr uint32_t kMaxDepth = 1'000;
constexpr uint32_t kMaxHeapKilobytes = 1'024;

struct FreePcre {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};
template <typename T>
using Pcre = std::unique_ptr<T, FreePcre>;

struct Regex {
  std::string text;
  Pcre<pcre2_code> code;
};

std::string pcre_message(int code) {
  std::array<PCRE2_UCHAR, 256> text{};
  pcre2_get_error_message(code, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

Result<Regex> compile(const std::string& text) {
  int code = 0;
  PCRE2_SIZE offset = 0;
  Regex regex{text, Pcre<pcre2_code>(pcre2_compile(
                        reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                        PCRE2_ANCHORED | PCRE2_NEVER_BACKSLASH_C, &code, &offset, nullptr))};
  if (!regex.code) {
    return Error(ErrorKind::corrupt_data,
                 "bad regular expression in the quantization's ignore list")
        .with("expression", text)
        .with("at", offset)
        .with("reason", pcre_message(code));
  }
  return regex;
}

Result<bool> regex_matches(const Regex& regex, std::string_view text) {
  const Pcre<pcre2_match_data> data(pcre2_match_data_create(1, nullptr));
  const Pcre<pcre2_match_context> context(pcre2_match_context_create(nullptr));
  pcre2_set_match_limit(context.get(), kMaxSteps);
  pcre2_set_depth_limit(context.get(), kMaxDepth);
  pcre2_set_heap_limit(context.get(), kMaxHeapKilobytes);
  const int code = pcre2_match(regex.code.get(), reinterpret_cast<PCRE2_SPTR>(text.data()),
                               text.size(), 0, 0, data.get(), context.get());
  if (code >= 0) return true;
  if (code == PCRE2_ERROR_NOMATCH) return false;
  return Error(ErrorKind::unsupported,
               "a regular expression of the quantization's ignore list takes too long")
      .with("expression", regex.text)
      .with("module", text)
      .with("reason", pcre_message(code));
}

}  // namespace

struct IgnoreList::Patterns {
  std::unordered_set<std::string> names;
  std::vector<std::string> globs;
  std::vector<Regex> regexes;
};

IgnoreList::IgnoreList() : patterns_(std::make_shared<const Patterns>()) {}

Result<IgnoreList> IgnoreList::parse(const std::vector<std::string>& entries) {
  Patterns patterns;
  for (const std::string& entry : entries) {
    const bool regex = entry.starts_with(kRegexPrefix);
    if (entry.size() > kMaxPatternBytes || (!regex && entry.find('[') != entry.npos)) {
      return Error(ErrorKind::unsupported,
                   "braid has no rule for this entry of the quantization's ignore list")
          .with("entry", entry.substr(0, 80))
          .remedy("Supported: names, globs with * and ?, and re: expressions below 1 KiB.");
    }
    if (regex) {
      patterns.regexes.push_back(TRY(compile(entry.substr(kRegexPrefix.size()))));
    } else if (entry.find_first_of("*?") != entry.npos) {
      patterns.globs.push_back(entry);
    } else {
      patterns.names.insert(entry);
    }
  }
  IgnoreList list;
  list.patterns_ = std::make_shared<const Patterns>(std::move(patterns));
  return list;
}

Result<bool> IgnoreList::matches(std::string_view module) const {
  if (patterns_->names.count(std::string(module)) > 0) return true;
  for (const std::string& glob : patterns_->globs) {
    if (glob_matches(glob, module)) return true;
  }
  for (const Regex& regex : patterns_->regexes) {
    if (TRY(regex_matches(regex, module))) return true;
  }
  return false;
}

bool glob_matches(std::string_view glob, std::string_view text) {
  // On a mismatch, the last * takes one character more and matching resumes behind it.
  size_t g = 0, t = 0, star = glob.npos, star_text = 0;
  while (t < text.size()) {
    if (g < glob.size() && glob[g] == '*') {
      star = g++;
      star_text = t;
    } else if (g < glob.size() && (glob[g] == '?' || glob[g] == text[t])) {
      ++g;
      ++t;
    } else if (star != glob.npos) {
      g = star + 1;
      t = ++star_text;
    } else {
      return false;
    }
  }
  return glob.find_first_not_of('*', g) == glob.npos;
}

}  // namespace braid::model
