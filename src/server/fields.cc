#include "server/fields.h"

#include <algorithm>
#include <cmath>

namespace braid::server {
namespace {

// What a value looks like in a message: not all of a long one.
std::string shown(const Json& value) {
  constexpr size_t kMost = 60;
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() <= kMost) return text;
  size_t cut = kMost;
  while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xc0) == 0x80) --cut;
  return text.substr(0, cut) + "…";
}

std::optional<int64_t> integer_of(const Json& value) {
  if (value.is_number_unsigned()) {
    const auto number = value.get<uint64_t>();
    if (number > static_cast<uint64_t>(INT64_MAX)) return std::nullopt;
    return static_cast<int64_t>(number);
  }
  if (value.is_number_integer()) return value.get<int64_t>();
  if (!value.is_number_float()) return std::nullopt;
  const double number = value.get<double>();  // "1.0", as some clients write it
  if (std::abs(number) > 9e15 || number != std::floor(number)) return std::nullopt;
  return static_cast<int64_t>(number);
}

}  // namespace

const Json* Fields::find(std::string_view name) {
  known_.emplace(name);
  const auto found = object_.find(name);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

Error Fields::wrong(std::string_view name, std::string_view expected) const {
  return bad_field(full(name), fmt::format("{} must be {}", full(name), expected))
      .with("value", shown(object_.at(std::string(name))));
}

Result<std::optional<bool>> Fields::flag(std::string_view name) {
  const Json* value = find(name);
  if (value == nullptr) return std::optional<bool>();
  if (!value->is_boolean()) return wrong(name, "true or false");
  return std::optional<bool>(value->get<bool>());
}

Result<std::optional<int64_t>> Fields::integer(std::string_view name, int64_t least, int64_t most) {
  const Json* value = find(name);
  if (value == nullptr) return std::optional<int64_t>();
  const std::optional<int64_t> number = integer_of(*value);
  if (!number || *number < least || *number > most) {
    return wrong(name, fmt::format("an integer from {} to {}", least, most));
  }
  return number;
}

Result<std::optional<double>> Fields::number(std::string_view name, double least, double most,
                                             bool above) {
  const Json* value = find(name);
  if (value == nullptr) return std::optional<double>();
  const double number = value->is_number() ? value->get<double>() : NAN;
  if (!(number >= least && number <= most) || (above && number == least)) {
    return wrong(name, fmt::format("a number {} {} {} at most {}", above ? "above" : "of at least",
                                   least, "and", most));
  }
  return std::optional<double>(number);
}

Result<std::optional<std::string>> Fields::text(std::string_view name) {
  const Json* value = find(name);
  if (value == nullptr) return std::optional<std::string>();
  if (!value->is_string()) return wrong(name, "a text");
  return std::optional<std::string>(value->get<std::string>());
}

Result<std::vector<std::string>> Fields::texts(std::string_view name, size_t most) {
  const Json* value = find(name);
  if (value == nullptr) return std::vector<std::string>();
  const Json list = value->is_array() ? *value : Json::array({*value});
  const bool good =
      list.size() <= most && std::all_of(list.begin(), list.end(), [](const Json& text) {
        return text.is_string() && !text.get_ref<const std::string&>().empty();
      });
  if (!good) return wrong(name, fmt::format("a text, or a list of at most {}, none empty", most));
  return list.get<std::vector<std::string>>();
}

Result<std::vector<int32_t>> Fields::ids(std::string_view name, int64_t end, size_t most) {
  const Json* value = find(name);
  if (value == nullptr) return std::vector<int32_t>();
  if (!value->is_array() || value->size() > most) {
    return wrong(name, fmt::format("a list of at most {} token ids", most));
  }
  return read_ids(*value, full(name), end);
}

Status Fields::refuse(std::string_view name, std::string_view why,
                      const std::vector<Json>& harmless) {
  const Json* value = find(name);
  if (value == nullptr || std::find(harmless.begin(), harmless.end(), *value) != harmless.end()) {
    return {};
  }
  return bad_field(full(name), fmt::format("{} {}", full(name), why)).with("value", shown(*value));
}

std::vector<std::string> Fields::unknown() const {
  std::vector<std::string> names;
  for (const auto& [name, value] : object_.items()) {
    if (!known_.contains(name)) names.push_back(full(name));
  }
  return names;
}

Result<Json> parse_object(std::string_view body) {
  Result<Json> json = parse_json(body, "the body");
  if (json.ok() && !json->is_object()) {
    return Error(ErrorKind::usage, "the body must be a JSON object").with("value", shown(*json));
  }
  return json;
}

Result<std::vector<int32_t>> read_ids(const Json& list, std::string_view field, int64_t end) {
  std::vector<int32_t> ids;
  ids.reserve(list.size());
  for (size_t i = 0; i < list.size(); ++i) {
    const std::optional<int64_t> id = integer_of(list[i]);
    if (!id || *id < 0 || *id >= end) {
      return bad_field(field, fmt::format("{} has what is no token id of the model", field))
          .with("index", i)
          .with("value", shown(list[i]))
          .with("vocab_size", end);
    }
    ids.push_back(static_cast<int32_t>(*id));
  }
  return ids;
}

}  // namespace braid::server
