// Added tokens: tokens that are found in the text itself, before it is split. From the field
// "added_tokens".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/component.h"
#include "text/encode_run.h"
#include "text/normalizer.h"
#include "text/vocabulary.h"

namespace braid::text {

struct AddedToken {
  std::string content;
  std::string form;  // what is looked for and what decoders get: content, normalized if asked for
  int32_t id;
  bool special;      // skipped by decode on request
  bool normalized;   // looked for in the normalized text
  bool single_word;  // only where no word character stands next to it
  bool lstrip;       // takes the whitespace on its left
  bool rstrip;       // takes the whitespace on its right
};

// A part of a text: an added token, or text between two (id = -1).
struct Segment {
  std::string_view text;
  int32_t id = -1;
};

// Finds strings in a text: at each place the longest, from left to right.
class StringMatcher {
 public:
  void add(std::string_view text, int32_t value);

  // The value of the longest string that `text` starts with, or -1; sets `bytes` to its length.
  int32_t longest_prefix(std::string_view text, size_t& bytes) const;

 private:
  // A trie. Few strings are long, so a node's children stand in a sorted list.
  struct Node {
    std::vector<std::pair<char, int32_t>> children;
    int32_t value = -1;
  };
  std::vector<Node> nodes_ = std::vector<Node>(1);
};

// Immutable; any number of threads may use it.
class AddedTokens {
 public:
  // `model` resolves conflicts: a token of the model's vocabulary must have the same id there.
  // Errors: corrupt_data (a field missing, two ids for a token or two tokens for an id).
  static Result<AddedTokens> from_json(const Json& list, const Vocabulary& model,
                                       const Normalizer* normalizer, EncodeRun& run);

  // Cuts a raw text at the tokens that are not `normalized`; appends to `segments`.
  void cut_raw(std::string_view text, std::vector<Segment>& segments) const;

  // Cuts a normalized text at the tokens that are `normalized`.
  void cut_normalized(std::string_view text, std::vector<Segment>& segments) const;

  // The token, or null.
  const AddedToken* find(int32_t id) const;
  const AddedToken* find(std::string_view content) const;

  // One past the largest id.
  int32_t size() const { return contents_.size(); }

 private:
  Status add(AddedToken token, const Vocabulary& model, const Normalizer* normalizer,
             EncodeRun& run);
  void cut(const StringMatcher& matcher, std::string_view text,
           std::vector<Segment>& segments) const;

  Vocabulary contents_;
  std::unordered_map<int32_t, AddedToken> tokens_;
  StringMatcher raw_;         // values are ids
  StringMatcher normalized_;  // values are ids
};

}  // namespace braid::text
