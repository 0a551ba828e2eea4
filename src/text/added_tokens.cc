#include "text/added_tokens.h"

#include <algorithm>

#include "base/json.h"
#include "text/unicode.h"
#include "text/utf8.h"

namespace braid::text {
namespace {

constexpr Role kRole = "added token";

bool starts_with_word(std::string_view text) {
  size_t at = 0;
  return !text.empty() && is_word(read_char(text, at));
}

size_t last_char(std::string_view text) {
  size_t at = text.size() - 1;
  while (is_continuation(text[at])) --at;
  return at;
}

bool ends_with_word(std::string_view text) {
  return !text.empty() && starts_with_word(text.substr(last_char(text)));
}

size_t leading_space_bytes(std::string_view text) {
  size_t bytes = 0;
  for (size_t at = 0; at < text.size() && is_white_space(read_char(text, at)); bytes = at) {
  }
  return bytes;
}

size_t trailing_space_bytes(std::string_view text) {
  size_t end = text.size();
  while (end > 0) {
    const size_t begin = last_char(text.substr(0, end));
    size_t at = begin;
    if (!is_white_space(read_char(text, at))) break;
    end = begin;
  }
  return text.size() - end;
}

Result<AddedToken> parse_added_token(const Json& json) {
  if (!json.is_object()) return Error(ErrorKind::corrupt_data, "an added token is no object");
  AddedToken token;
  token.content = TRY(string_field(json, kRole, "content"));
  const int64_t id = TRY(integer_field(json, kRole, "id", 0, kMaxVocabularySize - 1));
  token.id = static_cast<int32_t>(id);
  token.special = TRY(bool_field(json, kRole, "special", false));
  token.normalized = TRY(bool_field(json, kRole, "normalized", !token.special));
  token.single_word = TRY(bool_field(json, kRole, "single_word", false));
  token.lstrip = TRY(bool_field(json, kRole, "lstrip", false));
  token.rstrip = TRY(bool_field(json, kRole, "rstrip", false));
  return token;
}

auto child_before(const auto& children, char byte) {
  return std::lower_bound(children.begin(), children.end(), byte,
                          [](const auto& child, char b) { return child.first < b; });
}

}  // namespace

void StringMatcher::add(std::string_view text, int32_t value) {
  if (text.empty()) return;  // would match everywhere
  size_t node = 0;
  for (const char byte : text) {
    auto& children = nodes_[node].children;
    const auto at = child_before(children, byte);
    if (at != children.end() && at->first == byte) {
      node = static_cast<size_t>(at->second);
      continue;
    }
    children.insert(at, {byte, static_cast<int32_t>(nodes_.size())});
    node = nodes_.size();
    nodes_.emplace_back();
  }
  if (nodes_[node].value < 0) nodes_[node].value = value;
}

int32_t StringMatcher::longest_prefix(std::string_view text, size_t& bytes) const {
  int32_t value = -1;
  size_t node = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto& children = nodes_[node].children;
    const auto at = child_before(children, text[i]);
    if (at == children.end() || at->first != text[i]) break;
    node = static_cast<size_t>(at->second);
    if (nodes_[node].value < 0) continue;
    value = nodes_[node].value;
    bytes = i + 1;
  }
  return value;
}

Result<AddedTokens> AddedTokens::from_json(const Json& list, const Vocabulary& model,
                                           const Normalizer* normalizer, EncodeRun& run) {
  AddedTokens tokens;
  if (list.is_null()) return tokens;
  if (!list.is_array()) return Error(ErrorKind::corrupt_data, "added_tokens is no array");
  for (const Json& json : list) {
    TRY(tokens.add(TRY(parse_added_token(json)), model, normalizer, run));
  }
  return tokens;
}

Status AddedTokens::add(AddedToken token, const Vocabulary& model, const Normalizer* normalizer,
                        EncodeRun& run) {
  const int32_t model_id = model.id_of(token.content).value_or(token.id);
  const std::string* model_token = model.token_of(token.id);
  if (model_id != token.id || (model_token != nullptr && *model_token != token.content)) {
    return Error(ErrorKind::corrupt_data, "an added token contradicts the model's vocabulary")
        .with("token", token.content)
        .with("id", token.id)
        .with("its id in the vocabulary", model_id)
        .with("the id's token there", model_token == nullptr ? "none" : *model_token);
  }
  TRY(contents_.add(token.content, token.id));
  token.form = token.content;
  if (token.normalized && normalizer != nullptr) TRY(normalizer->apply(token.form, run));
  (token.normalized ? normalized_ : raw_).add(token.form, token.id);
  const int32_t id = token.id;
  tokens_.emplace(id, std::move(token));
  return {};
}

void AddedTokens::cut_raw(std::string_view text, std::vector<Segment>& segments) const {
  cut(raw_, text, segments);
}

void AddedTokens::cut_normalized(std::string_view text, std::vector<Segment>& segments) const {
  cut(normalized_, text, segments);
}

void AddedTokens::cut(const StringMatcher& matcher, std::string_view text,
                      std::vector<Segment>& segments) const {
  size_t done = 0;  // what stands before is in segments
  size_t bytes = 0;
  for (size_t at = 0; at < text.size();) {
    const int32_t id = matcher.longest_prefix(text.substr(at), bytes);
    if (id < 0) {
      ++at;
      continue;
    }
    const AddedToken& token = tokens_.at(id);
    size_t begin = at;
    size_t end = at + bytes;
    at = end;
    const std::string_view behind = text.substr(end);
    if (token.single_word && (ends_with_word(text.substr(0, begin)) || starts_with_word(behind))) {
      continue;
    }
    if (token.lstrip) begin -= trailing_space_bytes(text.substr(done, begin - done));
    if (token.rstrip) end += leading_space_bytes(behind);
    if (done < begin) segments.push_back({text.substr(done, begin - done)});
    segments.push_back({text.substr(begin, end - begin), id});
    at = done = end;
  }
  if (done < text.size()) segments.push_back({text.substr(done)});
}

const AddedToken* AddedTokens::find(int32_t id) const {
  const auto at = tokens_.find(id);
  return at == tokens_.end() ? nullptr : &at->second;
}

const AddedToken* AddedTokens::find(std::string_view content) const {
  const auto id = contents_.id_of(content);
  return id ? find(*id) : nullptr;
}

}  // namespace braid::text
