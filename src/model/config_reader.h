// Checked access to the keys of config.json: each error names key, value and remedy. What was read
// is remembered, so that nothing that is given stays unused without a word.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
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

// What was read of an object and of those in it. A key of an inner object is "outer.key".
struct KeysRead {
  std::set<std::string> read;
  std::map<std::string, std::string> left_out;  // keys that are absent → the value that is taken
  std::vector<std::string> warnings;            // what else there is to say
};

// A view of one JSON object. A key whose value is null counts as absent, but is never given a
// default of `defaults`: it is given as nothing. Copies, and readers of inner objects, share what
// they remember.
class ConfigReader {
 public:
  // `object` must outlive the reader, and so must `defaults`, values for keys that the object
  // lacks; `where` names it in errors ("config.json").
  ConfigReader(const Json& object, std::string where, const Json* defaults = nullptr);

  const std::string& where() const { return where_; }
  // Whether the object itself has the key, and not as null.
  bool has(std::string_view key) const { return own(key) != nullptr; }
  // The value, or else the default; null when there is neither.
  const Json* find(std::string_view key) const;
  const Json& object() const { return *object_; }

  // Required keys.
  Result<int64_t> integer(std::string_view key, IntRange range) const;
  Result<double> real(std::string_view key, RealRange range) const;
  Result<bool> boolean(std::string_view key) const;
  Result<std::string> text(std::string_view key) const;

  // Optional keys. The fallback stands for null, and for a key that has no default.
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

  // Remembers that `value` is taken for an absent key.
  void leave_out(std::string_view key, std::string value) const;
  // Remembers something to tell the user, once.
  void warn(std::string text) const;
  // All keys of the object count as read.
  void read_all() const;

  const KeysRead& keys() const { return *keys_; }
  // The paths of all keys that were not read; an inner object that was not read counts as one.
  std::vector<std::string> unread() const;

 private:
  ConfigReader(const Json& object, std::string where, std::string prefix,
               std::shared_ptr<KeysRead> keys);
  const Json* own(std::string_view key) const;
  std::string path(std::string_view key) const { return prefix_ + std::string(key); }
  Result<int64_t> integer_from(const Json& value, std::string_view key, IntRange range) const;
  // Whether there is no value; then the fallback is remembered.
  template <typename T>
  bool absent(std::string_view key, const T& fallback) const;

  const Json* object_;
  const Json* defaults_ = nullptr;
  std::string where_;
  std::string prefix_;  // of paths
  std::shared_ptr<KeysRead> keys_;
};

}  // namespace braid::model
