#include "text/byte_alphabet.h"

#include <array>
#include <cstdint>

#include "text/utf8.h"

namespace braid::text {
namespace {

constexpr char32_t kFirstSubstitute = 0x100;
constexpr size_t kSubstitutes = 68;

constexpr bool is_printed(uint32_t byte) {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

struct Alphabet {
  std::array<char32_t, 256> chars{};
  std::array<char, kSubstitutes> substituted{};  // the bytes behind U+0100, U+0101, …
};

constexpr Alphabet make_alphabet() {
  Alphabet alphabet;
  size_t substitutes = 0;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    if (is_printed(byte)) {
      alphabet.chars[byte] = byte;
    } else {
      alphabet.chars[byte] = kFirstSubstitute + static_cast<char32_t>(substitutes);
      alphabet.substituted[substitutes++] = static_cast<char>(byte);
    }
  }
  return alphabet;
}

constexpr Alphabet kAlphabet = make_alphabet();

}  // namespace

void append_in_byte_alphabet(std::string& written, std::string_view text) {
  for (const char byte : text) append_utf8(written, kAlphabet.chars[static_cast<uint8_t>(byte)]);
}

std::optional<std::string> from_byte_alphabet(std::string_view written) {
  std::string bytes;
  for (size_t at = 0; at < written.size();) {
    const char32_t c = read_char(written, at);
    if (c < 0x100 && is_printed(c)) {
      bytes += static_cast<char>(c);
    } else if (c >= kFirstSubstitute && c < kFirstSubstitute + kSubstitutes) {
      bytes += kAlphabet.substituted[c - kFirstSubstitute];
    } else {
      return std::nullopt;
    }
  }
  return bytes;
}

}  // namespace braid::text
