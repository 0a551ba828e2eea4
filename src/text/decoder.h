// Decoders: they turn tokens back into text, token by token. From the field "decoder".
//
// A decoder is a chain of steps. Each takes tokens and gives tokens; the text is what the last
// gives, joined. Steps work on a stream: what they hold back is what a later token may change, so
// decoding a whole and decoding piece by piece are one code and give one text.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/component.h"
#include "text/decode_steps.h"

namespace braid::text {

// One decoding from its first token to its end. Not shared between threads.
class Decoding {
 public:
  Decoding(Decoding&&) = default;
  Decoding& operator=(Decoding&&) = default;

  void push(std::string_view token) { first_->push(token); }
  void finish() { first_->finish(); }
  // The text that became certain since the last call: whole characters.
  std::string take();

 private:
  friend class Decoder;
  Decoding() = default;
  std::unique_ptr<std::string> text_;  // where the last step writes
  DecodeStepPtr first_;                // owns those behind it
};

// Immutable; any number of threads may use it.
class Decoder {
 public:
  // Supported: ByteLevel, ByteFallback, Fuse, Strip, Replace (of a String), Metaspace, Sequence;
  // and null, which puts a space between tokens. Behind Fuse or ByteLevel, which join all tokens
  // to one, only Strip and Fuse.
  // Errors: unsupported (another type or order, more than 64 steps, replacements that could
  // lengthen a token more than 256 times), corrupt_data (a field missing or of another type).
  static Result<Decoder> from_json(const Json& component);

  Decoding start() const;

 private:
  using MakeStep = std::function<DecodeStepPtr(DecodeStepPtr next)>;
  Status append(const Json& component);
  Status append_per_token(const Json& component, std::string_view type);
  Status append_replace(const Json& component);
  Status append_strip(const Json& component);
  Status append_metaspace(const Json& component);

  std::vector<MakeStep> steps_;
  bool fused_ = false;  // the steps so far give one token in parts
  size_t growth_ = 1;   // the steps so far lengthen a token at most so many times
};

}  // namespace braid::text
