#include "text/bpe.h"

#include <algorithm>
#include <limits>

#include "base/json.h"
#include "text/component.h"
#include "text/utf8.h"

namespace braid::text {
namespace {

constexpr Role kRole = "model";

// Symbols are counted in 32 bits.
constexpr size_t kMaxPieceBytes = std::numeric_limits<int32_t>::max() / 2;

uint64_t pair_key(int32_t left, int32_t right) {
  return (uint64_t{static_cast<uint32_t>(left)} << 32) | static_cast<uint32_t>(right);
}

Error bad_merge(int32_t rank, std::string_view what) {
  return Error(ErrorKind::corrupt_data, "a merge of the model is not as expected")
      .with("merge", rank)
      .with("reason", what);
}

// Settings that no published mixture-of-experts model uses.
Status refuse_settings(const Json& model) {
  const auto dropout = model.find("dropout");
  if (dropout != model.end() && !dropout->is_null() && *dropout != 0.0) {
    return unsupported_field(kRole, "dropout", *dropout, "null");
  }
  for (const std::string_view key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const auto affix = model.find(key);
    if (affix != model.end() && !affix->is_null() && *affix != "") {
      return unsupported_field(kRole, key, *affix, "null or empty");
    }
  }
  return {};
}

}  // namespace

Result<Bpe> Bpe::from_json(const Json& model) {
  // Files of older versions tell no type; only BPE has merges.
  const bool old_file = model.is_object() && !model.contains("type") && model.contains("merges");
  const std::string type = old_file ? "BPE" : TRY(component_type(model, kRole));
  if (type != "BPE") return unsupported_type(kRole, type, "BPE");
  TRY(refuse_settings(model));
  Bpe bpe;
  TRY(bpe.read_settings(model));
  const auto vocab = model.find("vocab");
  bpe.vocabulary_ = TRY(Vocabulary::from_json(vocab == model.end() ? Json() : *vocab));
  bpe.index_characters();
  TRY(bpe.read_merges(model));
  return bpe;
}

Status Bpe::read_settings(const Json& model) {
  if (model.contains("unk_token") && !model["unk_token"].is_null()) {
    unk_token_ = TRY(string_field(model, kRole, "unk_token"));
  }
  fuse_unk_ = TRY(bool_field(model, kRole, "fuse_unk", false));
  byte_fallback_ = TRY(bool_field(model, kRole, "byte_fallback", false));
  ignore_merges_ = TRY(bool_field(model, kRole, "ignore_merges", false));
  return {};
}

Status Bpe::read_merges(const Json& model) {
  const std::vector<const Json*> merges = TRY(array_field(model, kRole, "merges"));
  merges_.reserve(merges.size());
  int32_t rank = 0;
  for (const Json* merge : merges) {
    if (merge->is_string()) {
      const auto& text = merge->get_ref<const std::string&>();
      if (text.starts_with("#version")) continue;  // the first line of a merges.txt
      const size_t space = text.find(' ');
      if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos) {
        return bad_merge(rank, "not two tokens with a space between them");
      }
      const std::string_view view = text;
      TRY(add_merge(view.substr(0, space), view.substr(space + 1), rank));
    } else if (merge->is_array() && merge->size() == 2 && (*merge)[0].is_string() &&
               (*merge)[1].is_string()) {
      TRY(add_merge((*merge)[0].get_ref<const std::string&>(),
                    (*merge)[1].get_ref<const std::string&>(), rank));
    } else {
      return bad_merge(rank, "neither \"a b\" nor [\"a\", \"b\"]");
    }
    ++rank;
  }
  return {};
}

Status Bpe::add_merge(std::string_view left, std::string_view right, int32_t rank) {
  const std::string merged = std::string(left).append(right);
  const auto left_id = vocabulary_.id_of(left);
  const auto right_id = vocabulary_.id_of(right);
  const auto merged_id = vocabulary_.id_of(merged);
  if (!left_id || !right_id || !merged_id) {
    return bad_merge(rank, fmt::format("'{}', '{}' and '{}' are not all in the vocabulary", left,
                                       right, merged));
  }
  merges_.insert_or_assign(pair_key(*left_id, *right_id), Merge{rank, *merged_id});
  return {};
}

void Bpe::index_characters() {
  low_characters_.fill(-1);
  for (int32_t id = 0; id < vocabulary_.size(); ++id) {
    const std::string* token = vocabulary_.token_of(id);
    if (token == nullptr || token->empty() || char_bytes((*token)[0]) != token->size()) continue;
    size_t at = 0;
    const char32_t c = read_char(*token, at);
    if (c < low_characters_.size()) {
      low_characters_[c] = id;
    } else {
      characters_.emplace(c, id);
    }
  }
  for (size_t byte = 0; byte < bytes_.size(); ++byte) {
    bytes_[byte] = vocabulary_.id_of(fmt::format("<0x{:02X}>", byte)).value_or(-1);
  }
}

const Bpe::Merge* Bpe::find_merge(int32_t left, int32_t right) const {
  const auto at = merges_.find(pair_key(left, right));
  return at == merges_.end() ? nullptr : &at->second;
}

Status Bpe::encode(std::string_view piece, BpeScratch& scratch, std::vector<int32_t>& ids) const {
  if (piece.size() > kMaxPieceBytes) {
    return Error(ErrorKind::exhausted, "a piece of text is too long to encode")
        .with("bytes", piece.size());
  }
  if (ignore_merges_) {
    if (const auto id = vocabulary_.id_of(piece)) {
      ids.push_back(*id);
      return {};
    }
  }
  TRY(add_characters(piece, scratch));
  merge_all(scratch);
  for (const BpeScratch::Symbol& symbol : scratch.symbols_) {
    if (!symbol.merged_away) ids.push_back(symbol.id);
  }
  return {};
}

// The id of the character at `at`, or -1; moves `at` behind it.
int32_t Bpe::id_of_character(std::string_view piece, size_t& at) const {
  const char32_t c = read_char(piece, at);
  if (c < low_characters_.size()) return low_characters_[c];
  const auto found = characters_.find(c);
  return found == characters_.end() ? -1 : found->second;
}

// Adds the tokens of the character's bytes; false if the vocabulary lacks one.
bool Bpe::add_bytes(std::string_view character, BpeScratch& scratch) const {
  const auto id_of = [this](char byte) { return bytes_[static_cast<uint8_t>(byte)]; };
  const auto lacks = [&](char byte) { return id_of(byte) < 0; };
  if (std::any_of(character.begin(), character.end(), lacks)) return false;
  for (const char byte : character) scratch.symbols_.push_back({id_of(byte), -1, -1, false});
  return true;
}

// Sets the symbols to the piece's characters. An unknown one is held back until the next known
// character or the end, so that fuse_unk can join it with those that follow.
Status Bpe::add_characters(std::string_view piece, BpeScratch& scratch) const {
  auto& symbols = scratch.symbols_;
  symbols.clear();
  int32_t unknown = -1;
  const auto flush = [&] {
    if (unknown >= 0) symbols.push_back({unknown, -1, -1, false});
    unknown = -1;
  };
  for (size_t at = 0; at < piece.size();) {
    const size_t begin = at;
    const int32_t id = id_of_character(piece, at);
    if (id >= 0) {
      flush();
      symbols.push_back({id, -1, -1, false});
      continue;
    }
    if (byte_fallback_ && add_bytes(piece.substr(begin, at - begin), scratch)) continue;
    if (unk_token_.empty()) continue;
    if (!fuse_unk_) flush();
    unknown = vocabulary_.id_of(unk_token_).value_or(-1);
    if (unknown < 0) {
      return Error(ErrorKind::corrupt_data, "the unknown token is not in the vocabulary")
          .with("unk_token", unk_token_)
          .with("needed for", piece.substr(begin, at - begin));
    }
  }
  flush();
  return {};
}

// Adds the pair of `left` and its successor to the heap if the model merges it.
void Bpe::push_pair(int32_t left, BpeScratch& scratch) const {
  const auto& symbol = scratch.symbols_[static_cast<size_t>(left)];
  const auto& next = scratch.symbols_[static_cast<size_t>(symbol.next)];
  if (const Merge* merge = find_merge(symbol.id, next.id)) {
    scratch.heap_.push_back({merge->rank, left, merge->merged});
  }
}

// The symbols are a linked list in an array. The heap may hold pairs that have changed since they
// were pushed; they are recognised when they come up: their pair no longer gives the same token.
void Bpe::merge_all(BpeScratch& scratch) const {
  auto& symbols = scratch.symbols_;
  auto& heap = scratch.heap_;
  const auto later = [](const BpeScratch::Candidate& a, const BpeScratch::Candidate& b) {
    return a.rank != b.rank ? a.rank > b.rank : a.left > b.left;
  };
  const auto push = [&](int32_t left) {
    const size_t before = heap.size();
    push_pair(left, scratch);
    if (heap.size() != before) std::push_heap(heap.begin(), heap.end(), later);
  };
  const auto count = static_cast<int32_t>(symbols.size());
  heap.clear();
  for (int32_t i = 0; i < count; ++i) {
    symbols[static_cast<size_t>(i)].previous = i - 1;
    symbols[static_cast<size_t>(i)].next = i + 1 < count ? i + 1 : -1;
  }
  for (int32_t i = 0; i + 1 < count; ++i) push_pair(i, scratch);
  std::make_heap(heap.begin(), heap.end(), later);
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), later);
    const BpeScratch::Candidate best = heap.back();
    heap.pop_back();
    auto& left = symbols[static_cast<size_t>(best.left)];
    if (left.merged_away || left.next < 0) continue;
    auto& right = symbols[static_cast<size_t>(left.next)];
    const Merge* merge = find_merge(left.id, right.id);
    if (merge == nullptr || merge->merged != best.merged) continue;
    left.id = best.merged;
    left.next = right.next;
    right.merged_away = true;
    if (left.next >= 0) symbols[static_cast<size_t>(left.next)].previous = best.left;
    if (left.previous >= 0) push(left.previous);
    if (left.next >= 0) push(best.left);
  }
}

}  // namespace braid::text
