#include "text/tokenizer.h"

#include <filesystem>
#include <unordered_map>
#include <utility>

#include "base/json.h"
#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/normalizer.h"
#include "text/pre_tokenizer.h"
#include "text/utf8.h"

namespace braid::text {
namespace {

constexpr int64_t kMaxFileBytes = int64_t{256} << 20;

// Encodes the pieces of one text. Words repeat, so a short piece is encoded once.
class PieceEncoder {
 public:
  PieceEncoder(const Bpe& bpe, std::vector<int32_t>& ids) : bpe_(bpe), ids_(ids) {}

  Status encode(std::string_view piece) {
    if (piece.size() > kMaxCachedBytes) return bpe_.encode(piece, scratch_, ids_);
    const auto [known, is_new] = words_.try_emplace(std::string(piece), Span{0, 0});
    Span& where = known->second;
    if (is_new) {
      where.begin = ids_.size();
      TRY(bpe_.encode(piece, scratch_, ids_));
      where.end = ids_.size();
    } else {
      for (size_t i = where.begin; i < where.end; ++i) ids_.push_back(int32_t{ids_[i]});
    }
    return {};
  }

 private:
  static constexpr size_t kMaxCachedBytes = 64;

  const Bpe& bpe_;
  std::vector<int32_t>& ids_;
  BpeScratch scratch_;
  std::unordered_map<std::string, Span> words_;  // where a piece's ids stand in ids_
};

// The token that decoding gives for an id, or null.
const std::string* token_of(const AddedTokens& added, const Bpe& bpe, int32_t id) {
  const AddedToken* token = added.find(id);
  return token != nullptr ? &token->form : bpe.vocabulary().token_of(id);
}

// A component of the file, null if it isn't there.
const Json& part_of(const Json& json, std::string_view key) {
  static const Json kNull;
  const auto at = json.find(key);
  return at == json.end() ? kNull : *at;
}

}  // namespace

struct Tokenizer::Tables {
  EncodeLimits limits;
  std::unique_ptr<const Normalizer> normalizer;       // null: none
  std::unique_ptr<const PreTokenizer> pre_tokenizer;  // null: none
  Bpe bpe;
  AddedTokens added;
  Decoder decoder;

  static Result<Tables> from_json(const Json& json, const EncodeLimits& limits);
  Status encode(std::string_view text, EncodeRun& run, std::vector<int32_t>& ids) const;
  Status encode_part(std::string text, bool at_start, EncodeRun& run, PieceEncoder& encoder) const;
};

Result<Tokenizer::Tables> Tokenizer::Tables::from_json(const Json& json,
                                                       const EncodeLimits& limits) {
  auto normalizer = TRY(parse_normalizer(part_of(json, "normalizer")));
  auto pre_tokenizer = TRY(parse_pre_tokenizer(part_of(json, "pre_tokenizer")));
  Decoder decoder = TRY(Decoder::from_json(part_of(json, "decoder")));
  Bpe bpe = TRY(Bpe::from_json(part_of(json, "model")));
  EncodeRun run(limits);
  AddedTokens added = TRY(AddedTokens::from_json(part_of(json, "added_tokens"), bpe.vocabulary(),
                                                 normalizer.get(), run));
  return Tables{limits,         std::move(normalizer), std::move(pre_tokenizer),
                std::move(bpe), std::move(added),      std::move(decoder)};
}

// Added tokens are cut out twice: from the text as it is, and again from what is normalized.
Status Tokenizer::Tables::encode(std::string_view text, EncodeRun& run,
                                 std::vector<int32_t>& ids) const {
  PieceEncoder encoder(bpe, ids);
  std::vector<Segment> segments;
  std::vector<Segment> parts;
  added.cut_raw(text, segments);
  for (const Segment& segment : segments) {
    if (segment.id >= 0) {
      ids.push_back(segment.id);
      continue;
    }
    std::string normalized(segment.text);
    if (normalizer != nullptr) TRY(normalizer->apply(normalized, run));
    parts.clear();
    added.cut_normalized(normalized, parts);
    for (const Segment& part : parts) {
      if (part.id >= 0) {
        ids.push_back(part.id);
        continue;
      }
      const bool first =
          segment.text.data() == text.data() && part.text.data() == normalized.data();
      TRY(encode_part(std::string(part.text), first, run, encoder));
    }
  }
  return {};
}

Status Tokenizer::Tables::encode_part(std::string text, bool at_start, EncodeRun& run,
                                      PieceEncoder& encoder) const {
  Pieces pieces(std::move(text), at_start);
  if (pre_tokenizer != nullptr) TRY(pre_tokenizer->apply(pieces, run));
  for (const Span& span : pieces.spans) TRY(encoder.encode(pieces.piece(span)));
  return {};
}

Tokenizer::Tokenizer(std::shared_ptr<const Tables> tables, PostProcessor around)
    : tables_(std::move(tables)), around_(std::move(around)) {}

Result<Tokenizer> Tokenizer::load(const std::string& model_dir) {
  const std::string path = model_dir + "/tokenizer.json";
  const std::string config_path = model_dir + "/tokenizer_config.json";
  std::error_code code;
  if (!std::filesystem::exists(path, code)) {
    return Error(ErrorKind::not_found, "the model folder has no tokenizer.json")
        .with("folder", model_dir)
        .remedy(
            "Without it there are no texts, only token ids: download the tokenizer's files, too.");
  }
  Tokenizer tokenizer = TRY(from_json(TRY(read_file(path, kMaxFileBytes)), path));
  if (std::filesystem::exists(config_path, code)) {
    const Status applied = tokenizer.apply(TRY(load_tokenizer_config(config_path)));
    if (!applied.ok()) return Error(applied.error()).with("file", config_path);
  }
  return tokenizer;
}

Result<Tokenizer> Tokenizer::from_json(std::string_view text, std::string_view source,
                                       const EncodeLimits& limits) {
  Result<Tokenizer> tokenizer = parse(TRY(parse_json(text, source)), limits);
  if (!tokenizer.ok()) return Error(tokenizer.error()).with("file", source);
  return tokenizer;
}

Result<Tokenizer> Tokenizer::parse(const Json& json, const EncodeLimits& limits) {
  if (!json.is_object()) return Error(ErrorKind::corrupt_data, "a tokenizer.json is an object");
  auto tables = std::make_shared<const Tables>(TRY(Tables::from_json(json, limits)));
  PostProcessor around = TRY(parse_post_processor(part_of(json, "post_processor")));
  for (const auto* ids : {&around.before, &around.behind}) {
    for (const int32_t id : *ids) {
      if (token_of(tables->added, tables->bpe, id) != nullptr) continue;
      return Error(ErrorKind::corrupt_data, "the post-processor adds an id that no token has")
          .with("id", id);
    }
  }
  return Tokenizer(std::move(tables), std::move(around));
}

Status Tokenizer::apply(const TokenizerConfig& config) {
  const auto set = [this](std::string_view name, std::optional<bool> add,
                          const std::optional<std::string>& token,
                          std::vector<int32_t>& ids) -> Status {
    if (!add) return {};
    ids.clear();
    if (!*add) return {};
    const auto id = token ? token_id(*token) : std::nullopt;
    if (!id) {
      return Error(ErrorKind::corrupt_data, "tokenizer_config.json adds a token that is unknown")
          .with("field", name)
          .with("token", token.value_or("not named"));
    }
    ids.push_back(*id);
    return {};
  };
  PostProcessor around = around_;
  TRY(set("add_bos_token", config.add_bos_token, config.bos_token, around.before));
  TRY(set("add_eos_token", config.add_eos_token, config.eos_token, around.behind));
  around_ = std::move(around);
  return {};
}

Result<std::vector<int32_t>> Tokenizer::encode(std::string_view text,
                                               bool add_special_tokens) const {
  EncodeRun run(tables_->limits);
  TRY(run.check_text_bytes(text.size()));
  std::vector<int32_t> ids;
  if (add_special_tokens) ids = around_.before;
  if (is_valid_utf8(text)) {
    TRY(tables_->encode(text, run, ids));
  } else {
    TRY(tables_->encode(to_valid_utf8(text), run, ids));
  }
  if (add_special_tokens) ids.insert(ids.end(), around_.behind.begin(), around_.behind.end());
  return ids;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special) const {
  Decoding decoding = start_decoding();
  for (const int32_t id : ids) {
    const std::string* token = token_to_decode(id, skip_special);
    if (token != nullptr) decoding.push(*token);
  }
  decoding.finish();
  return decoding.take();
}

Decoding Tokenizer::start_decoding() const { return tables_->decoder.start(); }

const std::string* Tokenizer::token_to_decode(int32_t id, bool skip_special) const {
  if (skip_special && is_special(id)) return nullptr;
  return token_of(tables_->added, tables_->bpe, id);
}

int32_t Tokenizer::vocab_size() const {
  return std::max(tables_->added.size(), tables_->bpe.vocabulary().size());
}

std::optional<int32_t> Tokenizer::token_id(std::string_view content) const {
  const AddedToken* token = tables_->added.find(content);
  return token != nullptr ? token->id : tables_->bpe.vocabulary().id_of(content);
}

bool Tokenizer::is_special(int32_t id) const {
  const AddedToken* token = tables_->added.find(id);
  return token != nullptr && token->special;
}

}  // namespace braid::text
