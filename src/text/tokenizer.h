// Text to token ids and back, as a model's tokenizer.json says.
//
// Supported are byte-pair encodings: byte-level ones (GPT-2, Llama 3, Qwen, GLM, DeepSeek) and
// those with byte_fallback (Llama 2, Mixtral). What a component can do is said in normalizer.h,
// pre_tokenizer.h, bpe.h, post_processor.h, decoder.h and added_tokens.h; any other is refused by
// name. Ids and texts are those of Hugging Face's tokenizers 0.23, apart from characters that are
// newer than PCRE2's Unicode version (regex.h), and from special tokens with "normalized": decode
// skips them on request where that library forgets to. The file's "truncation" and "padding" are
// not applied: lengths are the engine's business.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_fwd.h"
#include "base/status.h"
#include "text/decoder.h"
#include "text/encode_run.h"
#include "text/post_processor.h"
#include "text/tokenizer_config.h"

namespace braid::text {

// Immutable but for apply(); any number of threads may use one. Copies share their tables.
class Tokenizer {
 public:
  // The tokenizer of a model's folder: its tokenizer.json, as apply() has it follow the folder's
  // tokenizer_config.json if there is one. Errors: not_found, corrupt_data, unsupported; they name
  // the file.
  static Result<Tokenizer> load(const std::string& model_dir);

  // From the content of a tokenizer.json; `source` names it in errors. `limits` bound each encode.
  static Result<Tokenizer> from_json(std::string_view json, std::string_view source,
                                     const EncodeLimits& limits = {});

  // Follows the model's tokenizer_config.json: add_bos_token and add_eos_token, where given, say
  // whether those tokens surround a text, whatever the post-processor says.
  // Errors: corrupt_data if a token to add is not named there or not in the vocabulary.
  Status apply(const TokenizerConfig& config);

  // The ids of a text. Bytes that are no UTF-8 are read as U+FFFD. `add_special_tokens` adds what
  // the post-processor puts around a text, for example its beginning; tokens written out in the
  // text are always recognised.
  // Errors: exhausted (limits), corrupt_data (an unknown token that the vocabulary lacks).
  Result<std::vector<int32_t>> encode(std::string_view text, bool add_special_tokens) const;

  // The text of ids; `skip_special` leaves special tokens out. Valid UTF-8: bytes that make no
  // character become U+FFFD. Ids outside of the vocabulary are skipped, since a model may have
  // more output columns than its tokenizer has tokens.
  std::string decode(std::span<const int32_t> ids, bool skip_special) const;

  // One past the largest id, added tokens included.
  int32_t vocab_size() const;

  // The id of a whole token as the file writes it, or none.
  std::optional<int32_t> token_id(std::string_view content) const;

  // True for added tokens that the file calls special.
  bool is_special(int32_t id) const;

 private:
  friend class TextStream;
  struct Tables;

  Tokenizer(std::shared_ptr<const Tables> tables, PostProcessor around);
  static Result<Tokenizer> parse(const Json& json, const EncodeLimits& limits);
  Decoding start_decoding() const;
  // The token to decode, or null for an id to skip.
  const std::string* token_to_decode(int32_t id, bool skip_special) const;

  std::shared_ptr<const Tables> tables_;
  PostProcessor around_;
};

}  // namespace braid::text
