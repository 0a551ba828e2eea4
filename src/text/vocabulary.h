// The tokens of a model and their ids, both ways.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/json_fwd.h"
#include "base/status.h"

namespace braid::text {

// Ids are below this; the largest published vocabularies have about 0.3 million tokens.
inline constexpr int64_t kMaxVocabularySize = int64_t{1} << 21;

// Immutable once built. Ids may have gaps.
class Vocabulary {
 public:
  Vocabulary() = default;
  // Moving keeps the strings where they are; a copy would point into its source.
  Vocabulary(Vocabulary&&) = default;
  Vocabulary& operator=(Vocabulary&&) = default;

  // From {"token": id, …}. Errors: corrupt_data (no such object, an id twice or out of range).
  static Result<Vocabulary> from_json(const Json& json);

  // Errors: corrupt_data if the token or the id is there already, or the id is out of range.
  Status add(std::string token, int64_t id);

  std::optional<int32_t> id_of(std::string_view token) const;

  // The token, or null for an id that has none (any value).
  const std::string* token_of(int32_t id) const;

  // One past the largest id.
  int32_t size() const { return static_cast<int32_t>(tokens_.size()); }

 private:
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };

  std::unordered_map<std::string, int32_t, Hash, std::equal_to<>> ids_;
  std::vector<const std::string*> tokens_;  // by id; null in the gaps
};

}  // namespace braid::text
