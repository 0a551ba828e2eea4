// What Split and Replace look for: {"String": "…"}, taken literally, or {"Regex": "…"}.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "text/component.h"
#include "text/regex.h"

namespace braid::text {

class Pattern {
 public:
  // Reads the field "pattern" of a component. Errors: corrupt_data, and those of Regex::compile.
  static Result<Pattern> from_component(const Json& component, Role role);

  static Pattern literal(std::string text) { return Pattern(std::move(text)); }
  explicit Pattern(Regex regex) : what_(std::move(regex)) {}

  // Sets `matches` to the successive matches in `text`; see Regex::find_all.
  Status find_all(std::string_view text, EncodeRun& run, std::vector<Span>& matches) const;

  // The literal text, or null if this is a regular expression.
  const std::string* as_literal() const { return std::get_if<std::string>(&what_); }

 private:
  explicit Pattern(std::string text) : what_(std::move(text)) {}

  std::variant<std::string, Regex> what_;
};

}  // namespace braid::text
