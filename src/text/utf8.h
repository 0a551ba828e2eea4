// UTF-8 reading and writing. Texts inside text/ are valid UTF-8; to_valid_utf8 guards the entrance.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace braid::text {

// U+FFFD, which stands for bytes that are no UTF-8.
inline constexpr std::string_view kReplacementCharacter = "\xef\xbf\xbd";

// What stands at the start of a non-empty byte string.
struct Utf8Scan {
  enum class Kind {
    character,  // a whole character of `bytes` bytes
    truncated,  // all `bytes` bytes begin a character whose rest is missing
    invalid,    // no character begins with these `bytes` bytes; they make one U+FFFD
  };
  Kind kind;
  size_t bytes;
};

// Judges by table 3-7 of the Unicode Standard: no overlong forms, surrogates or values > U+10FFFF.
Utf8Scan scan_utf8(std::string_view bytes);

bool is_valid_utf8(std::string_view bytes);

// The text with each maximal ill-formed part replaced by one U+FFFD (Unicode Standard,
// section 3.9).
std::string to_valid_utf8(std::string_view bytes);

// Reads the character of valid UTF-8 at `at` and moves `at` behind it. Requires at < size.
char32_t read_char(std::string_view valid, size_t& at);

// Bytes of the character whose first byte this is, in valid UTF-8.
constexpr size_t char_bytes(char first_byte) {
  const auto lead = static_cast<unsigned char>(first_byte);
  return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

// True for the second and later bytes of a character.
constexpr bool is_continuation(char byte) { return (static_cast<unsigned char>(byte) >> 6) == 2; }

// Characters of valid UTF-8.
int64_t count_chars(std::string_view valid);

// The byte at which character `index` starts; valid.size() when there are not that many.
size_t byte_offset(std::string_view valid, int64_t index);

void append_utf8(std::string& text, char32_t code_point);

}  // namespace braid::text
