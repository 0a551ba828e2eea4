// The byte alphabet of GPT-2: each byte written as one printable character, so that any bytes can
// stand in a vocabulary of strings. Bytes that Latin-1 prints keep their code point, the other 68
// become U+0100, U+0101, … in order. (Radford et al., "Language Models are Unsupervised Multitask
// Learners", 2019; its encoder.)
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace braid::text {

// Appends the bytes of `text`, written in the alphabet.
void append_in_byte_alphabet(std::string& written, std::string_view text);

// The bytes that `written` (valid UTF-8) stands for; none if a character isn't of the alphabet.
std::optional<std::string> from_byte_alphabet(std::string_view written);

}  // namespace braid::text
