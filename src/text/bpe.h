// Byte-pair encoding: a piece of text starts as its characters, and the pair of neighbours that
// was learned first is merged until none is left. (Sennrich, Haddow, Birch, "Neural Machine
// Translation of Rare Words with Subword Units", 2016; priorities and ties as in Hugging Face's
// tokenizers: lower rank first, then further left.) From the field "model".
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/json_fwd.h"
#include "base/status.h"
#include "text/vocabulary.h"

namespace braid::text {

// Working memory of Bpe::encode, kept between pieces. Not shared between threads.
class BpeScratch {
 private:
  friend class Bpe;
  struct Symbol {
    int32_t id;
    int32_t previous;  // index; -1 at the ends
    int32_t next;
    bool merged_away;
  };
  struct Candidate {
    int32_t rank;
    int32_t left;    // index of the pair's left symbol
    int32_t merged;  // id of what the pair becomes
  };
  std::vector<Symbol> symbols_;
  std::vector<Candidate> heap_;
};

// Immutable; any number of threads may encode with it.
class Bpe {
 public:
  // Supported settings: vocab, merges ("a b" or ["a", "b"]), unk_token, fuse_unk, byte_fallback,
  // ignore_merges. Errors: unsupported (another model type, dropout, continuing_subword_prefix,
  // end_of_word_suffix), corrupt_data (a merge of unknown tokens, …).
  static Result<Bpe> from_json(const Json& model);

  // Appends the ids of a piece (valid UTF-8). O(n log n) in its bytes.
  // A character outside the vocabulary becomes its bytes' tokens (byte_fallback), else the unknown
  // token; a model with neither drops it.
  // Errors: corrupt_data if the unknown token is needed but isn't in the vocabulary.
  Status encode(std::string_view piece, BpeScratch& scratch, std::vector<int32_t>& ids) const;

  const Vocabulary& vocabulary() const { return vocabulary_; }

 private:
  struct Merge {
    int32_t rank;
    int32_t merged;
  };
  Bpe() = default;
  Status read_settings(const Json& model);
  Status read_merges(const Json& model);
  Status add_merge(std::string_view left, std::string_view right, int32_t rank);
  void index_characters();
  const Merge* find_merge(int32_t left, int32_t right) const;
  int32_t id_of_character(std::string_view piece, size_t& at) const;
  bool add_bytes(std::string_view character, BpeScratch& scratch) const;
  Status add_characters(std::string_view piece, BpeScratch& scratch) const;
  void push_pair(int32_t left, BpeScratch& scratch) const;
  void merge_all(BpeScratch& scratch) const;

  Vocabulary vocabulary_;
  std::unordered_map<uint64_t, Merge> merges_;        // by left id << 32 | right id
  std::unordered_map<char32_t, int32_t> characters_;  // tokens of one character
  std::array<int32_t, 0x200> low_characters_{};  // the same for the first code points, -1: none
  std::array<int32_t, 256> bytes_{};             // tokens "<0x00>" … "<0xFF>", -1: none
  std::string unk_token_;                        // empty: none
  bool fuse_unk_ = false;
  bool byte_fallback_ = false;
  bool ignore_merges_ = false;
};

}  // namespace braid::text
