#include "text/pattern.h"

#include "base/json.h"

namespace braid::text {

Result<Pattern> Pattern::from_component(const Json& component, Role role) {
  const auto pattern = component.find("pattern");
  if (pattern != component.end() && pattern->is_object()) {
    if (pattern->contains("Regex")) {
      return Pattern(TRY(Regex::compile(TRY(string_field(*pattern, role, "Regex")))));
    }
    std::string text = TRY(string_field(*pattern, role, "String"));
    if (!text.empty()) return literal(std::move(text));
  }
  return Error(ErrorKind::corrupt_data, fmt::format("the {} has no pattern", role))
      .with("expected", R"({"String": "…"} or {"Regex": "…"}, not empty)");
}

Status Pattern::find_all(std::string_view text, EncodeRun& run, std::vector<Span>& matches) const {
  if (const Regex* regex = std::get_if<Regex>(&what_)) return regex->find_all(text, run, matches);
  const auto& literal = std::get<std::string>(what_);
  matches.clear();
  for (size_t at = text.find(literal); at != std::string_view::npos;
       at = text.find(literal, at + literal.size())) {
    matches.push_back({at, at + literal.size()});
  }
  return {};
}

}  // namespace braid::text
