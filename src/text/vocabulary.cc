#include "text/vocabulary.h"

#include "base/json.h"
#include "text/component.h"

namespace braid::text {

Result<Vocabulary> Vocabulary::from_json(const Json& json) {
  if (!json.is_object()) {
    return Error(ErrorKind::corrupt_data, "the vocabulary is no object")
        .with("expected", R"({"token": id, …})");
  }
  Vocabulary vocabulary;
  vocabulary.ids_.reserve(json.size());
  for (const auto& [token, id] : json.items()) {
    TRY(vocabulary.add(token, integer_in(id, 0, kMaxVocabularySize).value_or(-1)));
  }
  return vocabulary;
}

Status Vocabulary::add(std::string token, int64_t id) {
  if (id < 0 || id >= kMaxVocabularySize) {
    return Error(ErrorKind::corrupt_data, "a token's id is no integer in range")
        .with("token", token)
        .with("limit", kMaxVocabularySize);
  }
  const auto index = static_cast<size_t>(id);
  if (index >= tokens_.size()) tokens_.resize(index + 1, nullptr);
  if (tokens_[index] != nullptr) {
    return Error(ErrorKind::corrupt_data, "two tokens have the same id")
        .with("id", id)
        .with("tokens", fmt::format("'{}' and '{}'", *tokens_[index], token));
  }
  const auto [at, added] = ids_.emplace(std::move(token), static_cast<int32_t>(id));
  if (!added) {
    return Error(ErrorKind::corrupt_data, "a token has two ids")
        .with("token", at->first)
        .with("ids", fmt::format("{} and {}", at->second, id));
  }
  tokens_[index] = &at->first;
  return {};
}

std::optional<int32_t> Vocabulary::id_of(std::string_view token) const {
  const auto at = ids_.find(token);
  if (at == ids_.end()) return std::nullopt;
  return at->second;
}

const std::string* Vocabulary::token_of(int32_t id) const {
  if (id < 0 || id >= size()) return nullptr;
  return tokens_[static_cast<size_t>(id)];
}

}  // namespace braid::text
