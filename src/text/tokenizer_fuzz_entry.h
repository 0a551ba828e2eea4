// What the fuzz target does with an input; a test replays its corpus through the same function.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/text_stream.h"
#include "text/tokenizer.h"
#include "text/tokenizer_config.h"
#include "text/utf8.h"

namespace braid::text {

// Decodes ids at once and one by one: both must give the same valid UTF-8.
inline void check_decoding(const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  for (const bool skip_special : {false, true}) {
    const std::string whole = tokenizer.decode(ids, skip_special);
    TextStream stream(tokenizer, skip_special);
    std::string joined;
    for (const int32_t id : ids) {
      const std::string part = stream.append(id);
      BRAID_CHECK(is_valid_utf8(part), "(a part of a stream)");
      joined += part;
    }
    joined += stream.finish();
    BRAID_CHECK(joined == whole, "(a stream and decode differ)");
    BRAID_CHECK(is_valid_utf8(whole), "(a decoded text)");
  }
}

// The first two bytes say how many of those behind them are the tokenizer.json; the rest is a text
// to encode and, byte by byte, ids to decode. Only a broken invariant ends the program.
inline void fuzz_tokenizer_json(const uint8_t* data, size_t size) {
  constexpr size_t kMaxJsonBytes = 65535;
  constexpr size_t kMaxTextBytes = 4096;
  const EncodeLimits limits{
      .regex_steps = 20'000, .time = std::chrono::seconds(2), .text_bytes = size_t{1} << 20};
  if (size < 2) return;
  const std::string_view input(reinterpret_cast<const char*>(data) + 2, size - 2);
  const std::string_view json =
      input.substr(0, std::min<size_t>(data[0] | data[1] << 8, kMaxJsonBytes));
  const std::string_view text = input.substr(json.size(), kMaxTextBytes);
  const Result<TokenizerConfig> config = parse_tokenizer_config(json, "fuzz");
  Result<Tokenizer> tokenizer = Tokenizer::from_json(json, "fuzz", limits);
  if (!tokenizer.ok()) {
    BRAID_CHECK(!tokenizer.error().to_string().empty());
    return;
  }
  if (config.ok()) (void)tokenizer->apply(*config);
  for (const bool add_special_tokens : {false, true}) {
    const Result<std::vector<int32_t>> ids = tokenizer->encode(text, add_special_tokens);
    if (ids.ok()) check_decoding(*tokenizer, *ids);
  }
  std::vector<int32_t> bytes(text.begin(), text.end());
  check_decoding(*tokenizer, bytes);
}

}  // namespace braid::text
