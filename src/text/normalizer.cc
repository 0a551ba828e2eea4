#include "text/normalizer.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "base/json.h"
#include "text/pattern.h"
#include "text/unicode.h"
#include "text/utf8.h"

namespace braid::text {
namespace {

constexpr Role kRole = "normalizer";
constexpr std::string_view kSupported =
    "NFC, NFD, NFKC, NFKD, Lowercase, Strip, Prepend, Replace, Sequence, null";

class Form : public Normalizer {
 public:
  explicit Form(NormalForm form) : form_(form) {}
  Status apply(std::string& text, EncodeRun&) const override {
    text = TRY(to_normal_form(text, form_));
    return {};
  }

 private:
  NormalForm form_;
};

class Lowercase : public Normalizer {
 public:
  Status apply(std::string& text, EncodeRun& run) const override {
    text = to_lower_case(text);
    return run.check_text_bytes(text.size());
  }
};

// Removes the white space at the ends.
class Strip : public Normalizer {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}
  Status apply(std::string& text, EncodeRun&) const override {
    size_t first = left_ ? text.size() : 0;  // byte of the first and behind the last one that stays
    size_t end = right_ ? 0 : text.size();
    for (size_t at = 0; at < text.size();) {
      const size_t begin = at;
      if (is_white_space(read_char(text, at))) continue;
      first = std::min(first, begin);
      if (right_) end = at;
    }
    text = first < end ? text.substr(first, end - first) : std::string();
    return {};
  }

 private:
  bool left_;
  bool right_;
};

// Puts a prefix before any text but the empty one.
class Prepend : public Normalizer {
 public:
  explicit Prepend(std::string prefix) : prefix_(std::move(prefix)) {}
  Status apply(std::string& text, EncodeRun&) const override {
    if (!text.empty()) text.insert(0, prefix_);
    return {};
  }

 private:
  std::string prefix_;
};

class Replace : public Normalizer {
 public:
  Replace(Pattern pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}

  Status apply(std::string& text, EncodeRun& run) const override {
    std::vector<Span> matches;
    TRY(pattern_.find_all(text, run, matches));
    if (matches.empty()) return {};
    std::string replaced;
    size_t end = 0;
    for (const Span& match : matches) {
      replaced.append(text, end, match.begin - end).append(content_);
      end = match.end;
      TRY(run.check_text_bytes(replaced.size()));
    }
    replaced.append(text, end);
    text = std::move(replaced);
    return {};
  }

 private:
  Pattern pattern_;
  std::string content_;
};

class Sequence : public Normalizer {
 public:
  explicit Sequence(std::vector<std::unique_ptr<const Normalizer>> steps)
      : steps_(std::move(steps)) {}
  Status apply(std::string& text, EncodeRun& run) const override {
    for (const auto& step : steps_) TRY(step->apply(text, run));
    return {};
  }

 private:
  std::vector<std::unique_ptr<const Normalizer>> steps_;
};

Result<std::unique_ptr<const Normalizer>> parse_sequence(const Json& component) {
  std::vector<std::unique_ptr<const Normalizer>> steps;
  for (const Json* member : TRY(array_field(component, kRole, "normalizers"))) {
    auto step = TRY(parse_normalizer(*member));
    if (step != nullptr) steps.push_back(std::move(step));
  }
  return std::unique_ptr<const Normalizer>(std::make_unique<Sequence>(std::move(steps)));
}

}  // namespace

Result<std::unique_ptr<const Normalizer>> parse_normalizer(const Json& component) {
  using Parsed = std::unique_ptr<const Normalizer>;
  if (component.is_null()) return Parsed();
  const std::string type = TRY(component_type(component, kRole));
  constexpr std::array<std::pair<std::string_view, NormalForm>, 4> kForms = {
      {{"NFC", NormalForm::nfc},
       {"NFD", NormalForm::nfd},
       {"NFKC", NormalForm::nfkc},
       {"NFKD", NormalForm::nfkd}}};
  for (const auto& [name, form] : kForms) {
    if (type == name) return Parsed(std::make_unique<Form>(form));
  }
  if (type == "Lowercase") return Parsed(std::make_unique<Lowercase>());
  if (type == "Strip") {
    const bool left = TRY(bool_field(component, kRole, "strip_left", true));
    const bool right = TRY(bool_field(component, kRole, "strip_right", true));
    return Parsed(std::make_unique<Strip>(left, right));
  }
  if (type == "Prepend") {
    return Parsed(std::make_unique<Prepend>(TRY(string_field(component, kRole, "prepend"))));
  }
  if (type == "Replace") {
    Pattern pattern = TRY(Pattern::from_component(component, kRole));
    std::string content = TRY(string_field(component, kRole, "content"));
    return Parsed(std::make_unique<Replace>(std::move(pattern), std::move(content)));
  }
  if (type == "Sequence") return parse_sequence(component);
  return unsupported_type(kRole, type, kSupported);
}

}  // namespace braid::text
