// Checked access to the keys of config.json: each error names key, value and remedy.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/status.h"

namespace braid::model {

// The bounds of a number, both included.
struct IntRange {
  int64_t low = 1;
  int64_t high = 0;
};
struct RealRange {
  double low = 0.0;
  double high = 0.0;
};

// A view of one JSON object. A key whose value is null counts as absent.
class ConfigReader {
 public:
  // `object` must outlive the reader; `where` names it in errors ("config.json").
  ConfigReader(const Json& object, std::string where)
      : object_(&object), where_(std::move(where)) {}

  const std::string& where() const { return where_; }
  bool has(std::string_view key) const { return find(key) != nullptr; }
  // The value, or null when it is absent.
  const Json* find(std::string_view key) const;

  // Required keys.
  Result<int64_t> integer(std::string_view key, IntRange range) const;
  Result<double> real(std::string_view key, RealRange range) const;
  Result<bool> boolean(std::string_view key) const;
  Result<std::string> text(std::string_view key) const;

  // Optional keys.
  Result<int64_t> integer_or(std::string_view key, IntRange range, int64_t fallback) const;
  Result<double> real_or(std::string_view key, RealRange range, double fallback) const;
  Result<bool> boolean_or(std::string_view key, bool fallback) const;
  Result<std::string> text_or(std::string_view key, std::string fallback) const;
  // An integer or a list of integers; empty when absent.
  Result<std::vector<int64_t>> integers(std::string_view key, IntRange range) const;
  Result<std::vector<std::string>> texts(std::string_view key) const;
  // A nested object.
  Result<std::optional<ConfigReader>> object(std::string_view key) const;

  // An error about `key`, with its value (or "absent") attached.
  Error error(ErrorKind kind, std::string message, std::string_view key) const;

 private:
  const Json* object_;
  std::string where_;
};

}  // namespace braid::model
