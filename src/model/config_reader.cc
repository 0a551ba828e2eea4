#include "model/config_reader.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/json.h"

namespace braid::model {
namespace {

constexpr size_t kMaxListItems = size_t{1} << 16;
constexpr size_t kShownBytes = 80;

std::string shown(const Json* value) {
  if (value == nullptr) return "absent";
  if (value->is_structured() && value->size() > 16) {
    return value->is_array() ? "a long list" : "a large object";
  }
  std::string text = value->dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > kShownBytes) text = text.substr(0, kShownBytes) + "...";
  return text;
}

std::string correction(const std::string& where, std::string_view key) {
  if (where != "config.json") return fmt::format("Correct {}.", where);
  return fmt::format("Correct config.json, or pass --json-model-override-args '{{\"{}\": ...}}'.",
                     key);
}

void collect_unread(const Json& object, const std::string& prefix, const KeysRead& keys,
                    std::vector<std::string>& unread) {
  for (const auto& [key, value] : object.items()) {
    const std::string path = prefix + key;
    if (keys.read.count(path) == 0) {
      unread.push_back(path);
    } else if (value.is_object() && keys.read.count(path + ".") > 0) {
      collect_unread(value, path + ".", keys, unread);
    }
  }
}

}  // namespace

ConfigReader::ConfigReader(const Json& object, std::string where, const Json* defaults)
    : object_(&object),
      defaults_(defaults),
      where_(std::move(where)),
      keys_(std::make_shared<KeysRead>()) {}

ConfigReader::ConfigReader(const Json& object, std::string where, std::string prefix,
                           std::shared_ptr<KeysRead> keys)
    : object_(&object),
      where_(std::move(where)),
      prefix_(std::move(prefix)),
      keys_(std::move(keys)) {
  keys_->read.insert(prefix_);  // "outer.": the object is looked into
}

const Json* ConfigReader::own(std::string_view key) const {
  keys_->read.insert(path(key));
  const auto found = object_->find(std::string(key));
  return found == object_->end() || found->is_null() ? nullptr : &*found;
}

const Json* ConfigReader::find(std::string_view key) const {
  const Json* value = own(key);
  if (value != nullptr || defaults_ == nullptr || object_->contains(key)) return value;
  const auto standard = defaults_->find(std::string(key));
  if (standard == defaults_->end()) return nullptr;
  leave_out(key, standard->dump());
  return &*standard;
}

void ConfigReader::leave_out(std::string_view key, std::string value) const {
  keys_->left_out.emplace(path(key), std::move(value));
}

void ConfigReader::warn(std::string text) const {
  std::vector<std::string>& said = keys_->warnings;
  if (std::find(said.begin(), said.end(), text) == said.end()) said.push_back(std::move(text));
}

void ConfigReader::read_all() const {
  for (const auto& [key, value] : object_->items()) keys_->read.insert(path(key));
}

std::vector<std::string> ConfigReader::unread() const {
  std::vector<std::string> unread;
  collect_unread(*object_, prefix_, *keys_, unread);
  return unread;
}

template <typename T>
bool ConfigReader::absent(std::string_view key, const T& fallback) const {
  if (find(key) != nullptr) return false;
  if (!object_->contains(key)) leave_out(key, Json(fallback).dump());
  return true;
}

Error ConfigReader::error(ErrorKind kind, std::string message, std::string_view key) const {
  return Error(kind, std::move(message))
      .with("key", key)
      .with("value", shown(own(key)))
      .with("in", where_)
      .remedy(correction(where_, key));
}

Result<int64_t> ConfigReader::integer_from(const Json& value, std::string_view key,
                                           IntRange range) const {
  if (!value.is_number_integer()) {
    return error(ErrorKind::corrupt_data, "an integer was expected", key);
  }
  const uint64_t unsigned_max = std::numeric_limits<int64_t>::max();
  const bool too_large = value.is_number_unsigned() && value.get<uint64_t>() > unsigned_max;
  const int64_t number = too_large ? 0 : value.get<int64_t>();
  if (too_large || number < range.low || number > range.high) {
    return error(ErrorKind::corrupt_data,
                 fmt::format("an integer from {} to {} was expected", range.low, range.high), key);
  }
  return number;
}

Result<int64_t> ConfigReader::integer(std::string_view key, IntRange range) const {
  const Json* value = find(key);
  if (value == nullptr) return error(ErrorKind::corrupt_data, "a key is missing", key);
  return integer_from(*value, key, range);
}

Result<double> ConfigReader::real(std::string_view key, RealRange range) const {
  const Json* value = find(key);
  if (value == nullptr) return error(ErrorKind::corrupt_data, "a key is missing", key);
  if (!value->is_number()) return error(ErrorKind::corrupt_data, "a number was expected", key);
  const double number = value->get<double>();
  if (!(number >= range.low && number <= range.high)) {
    return error(ErrorKind::corrupt_data,
                 fmt::format("a number from {} to {} was expected", range.low, range.high), key);
  }
  return number;
}

Result<bool> ConfigReader::boolean(std::string_view key) const {
  const Json* value = find(key);
  if (value == nullptr) return error(ErrorKind::corrupt_data, "a key is missing", key);
  if (!value->is_boolean()) {
    return error(ErrorKind::corrupt_data, "true or false was expected", key);
  }
  return value->get<bool>();
}

Result<std::string> ConfigReader::text(std::string_view key) const {
  const Json* value = find(key);
  if (value == nullptr) return error(ErrorKind::corrupt_data, "a key is missing", key);
  if (!value->is_string()) return error(ErrorKind::corrupt_data, "a string was expected", key);
  return value->get<std::string>();
}

Result<int64_t> ConfigReader::integer_or(std::string_view key, IntRange range,
                                         int64_t fallback) const {
  if (absent(key, fallback)) return fallback;
  return integer(key, range);
}

Result<double> ConfigReader::real_or(std::string_view key, RealRange range, double fallback) const {
  if (absent(key, fallback)) return fallback;
  return real(key, range);
}

Result<bool> ConfigReader::boolean_or(std::string_view key, bool fallback) const {
  if (absent(key, fallback)) return fallback;
  return boolean(key);
}

Result<std::string> ConfigReader::text_or(std::string_view key, std::string fallback) const {
  if (absent(key, fallback)) return fallback;
  return text(key);
}

Result<std::vector<int64_t>> ConfigReader::integers(std::string_view key, IntRange range) const {
  std::vector<int64_t> numbers;
  const Json* value = find(key);
  if (value == nullptr) return numbers;
  if (!value->is_array()) return std::vector{TRY(integer_from(*value, key, range))};
  if (value->size() > kMaxListItems) {
    return error(ErrorKind::corrupt_data, "the list is too long", key);
  }
  for (const Json& item : *value) numbers.push_back(TRY(integer_from(item, key, range)));
  return numbers;
}

Result<std::vector<std::string>> ConfigReader::texts(std::string_view key) const {
  std::vector<std::string> list;
  const Json* value = find(key);
  if (value == nullptr) return list;
  if (value->is_string()) return std::vector{value->get<std::string>()};
  if (!value->is_array() || value->size() > kMaxListItems) {
    return error(ErrorKind::corrupt_data, "a list of strings was expected", key);
  }
  for (const Json& item : *value) {
    if (!item.is_string()) {
      return error(ErrorKind::corrupt_data, "a list of strings was expected", key);
    }
    list.push_back(item.get<std::string>());
  }
  return list;
}

Result<std::optional<ConfigReader>> ConfigReader::object(std::string_view key) const {
  const Json* value = find(key);
  if (value == nullptr) return std::optional<ConfigReader>();
  if (!value->is_object()) return error(ErrorKind::corrupt_data, "an object was expected", key);
  return std::optional(
      ConfigReader(*value, fmt::format("{} of {}", key, where_), path(key) + ".", keys_));
}

}  // namespace braid::model
