// Checked access to the keys of config.json: each error names key, value and remedy.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_fwd.h"
#include "base/status.h"

namespace braid::model {

// The bounds of a number, both included.
struct IntRange {
  int64_t low = 0;
  int64_t high = 0;
};
struct RealRange {
  double low = 0.0;
  double high = 0.0;
};

// Bounds far above every published model, small enough that the sizes derived from them (bytes of
// all weights, bytes of a KV cache for every position) stay below 2^62.
inline constexpr IntRange kVocabRange{1, 1 << 24};
inline constexpr IntRange kLayerRange{1, 1 << 10};
inline constexpr IntRange kHiddenRange{1, 1 << 16};
inline constexpr IntRange kWidthRange{1, 1 << 18};  // of an MLP or an expert
inline constexpr IntRange kHeadRange{1, 1 << 10};
inline constexpr IntRange kHeadDimRange{1, 1 << 11};
inline constexpr IntRange kRankRange{1, 1 << 14};  // of a low-rank projection
inline constexpr IntRange kExpertRange{1, 1 << 12};
inline constexpr IntRange kPositionRange{1, 1 << 27};

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
  // One value or a list of them; empty when absent.
  Result<std::vector<int64_t>> integers(std::string_view key, IntRange range) const;
  Result<std::vector<std::string>> texts(std::string_view key) const;
  // A nested object, or nothing when absent.
  Result<std::optional<ConfigReader>> object(std::string_view key) const;

  // An error about `key`, with its place and value ("absent" where there is none) attached.
  Error error(ErrorKind kind, std::string message, std::string_view key) const;

 private:
  Result<int64_t> integer_from(const Json& value, std::string_view key, IntRange range) const;

  const Json* object_;
  std::string where_;
};

}  // namespace braid::model
