#include "text/component.h"

#include "base/json.h"
#include "text/utf8.h"

namespace braid::text {
namespace {

// A short rendering for errors; a whole vocabulary would bury the sentence.
std::string shown(const Json& value) {
  std::string text = value.is_structured() ? value.type_name() : value.dump();
  if (text.size() <= 80) return text;
  size_t end = 80;
  while (is_continuation(text[end])) --end;
  return text.substr(0, end) + "…";
}

Error wrong_field(Role role, std::string_view key, const Json* value, std::string_view expected) {
  return Error(ErrorKind::corrupt_data, fmt::format("a field of the {} is not as expected", role))
      .with("field", key)
      .with("value", value == nullptr ? "absent" : shown(*value))
      .with("expected", expected);
}

// The value of a field, null pointer for absent or null.
const Json* find_field(const Json& component, std::string_view key) {
  const auto at = component.find(key);
  return at == component.end() || at->is_null() ? nullptr : &*at;
}

}  // namespace

Result<std::string> component_type(const Json& component, Role role) {
  if (!component.is_object()) {
    return Error(ErrorKind::corrupt_data, fmt::format("the {} is no object", role))
        .with("value", shown(component));
  }
  return string_field(component, role, "type");
}

Error unsupported_type(Role role, std::string_view type, std::string_view supported) {
  return Error(ErrorKind::unsupported, fmt::format("this {} is not supported", role))
      .with("type", type)
      .with("supported", supported);
}

Error unsupported_field(Role role, std::string_view key, const Json& value,
                        std::string_view supported) {
  return Error(ErrorKind::unsupported, fmt::format("this setting of the {} is not supported", role))
      .with("field", key)
      .with("value", shown(value))
      .with("supported", supported);
}

Result<bool> bool_field(const Json& component, Role role, std::string_view key, bool absent) {
  const Json* value = find_field(component, key);
  if (value == nullptr) return absent;
  if (!value->is_boolean()) return wrong_field(role, key, value, "true or false");
  return value->get<bool>();
}

Result<std::string> string_field(const Json& component, Role role, std::string_view key) {
  const Json* value = find_field(component, key);
  if (value == nullptr || !value->is_string()) return wrong_field(role, key, value, "a string");
  return value->get<std::string>();
}

std::optional<int64_t> integer_in(const Json& value, int64_t low, int64_t high) {
  const bool huge = value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX;
  if (!value.is_number_integer() || huge) return std::nullopt;
  const auto integer = value.get<int64_t>();
  if (integer < low || integer > high) return std::nullopt;
  return integer;
}

Result<int64_t> integer_field(const Json& component, Role role, std::string_view key, int64_t low,
                              int64_t high) {
  const Json* value = find_field(component, key);
  const auto integer = value == nullptr ? std::nullopt : integer_in(*value, low, high);
  if (!integer) {
    return wrong_field(role, key, value, fmt::format("an integer from {} to {}", low, high));
  }
  return *integer;
}

Result<std::vector<const Json*>> array_field(const Json& component, Role role,
                                             std::string_view key) {
  const Json* value = find_field(component, key);
  if (value == nullptr || !value->is_array()) return wrong_field(role, key, value, "an array");
  std::vector<const Json*> members;
  members.reserve(value->size());
  for (const Json& member : *value) members.push_back(&member);
  return members;
}

Result<std::string> char_field(const Json& component, Role role, std::string_view key) {
  std::string text = TRY(string_field(component, role, key));
  if (text.empty() || char_bytes(text[0]) != text.size()) {
    return wrong_field(role, key, find_field(component, key), "one character");
  }
  return text;
}

}  // namespace braid::text
