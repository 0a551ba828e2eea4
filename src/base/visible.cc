#include "base/visible.h"

#include <fmt/format.h>

namespace braid {
namespace {

bool is_c1(unsigned char byte) { return byte >= 0x80 && byte < 0xa0; }

// Bytes of the UTF-8 character that begins with `lead`; 0 for a byte that begins none.
size_t character_bytes(unsigned char lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead < 0xe0) return 2;
  if (lead >= 0xe0 && lead < 0xf0) return 3;
  return lead >= 0xf0 && lead < 0xf5 ? 4 : 0;
}

// Whether `text` begins with a character of several bytes, all of them there.
bool begins_character(std::string_view text, size_t bytes) {
  if (bytes < 2 || text.size() < bytes) return false;
  for (size_t i = 1; i < bytes; ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xc0) != 0x80) return false;
  }
  return true;
}

}  // namespace

std::string visible(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const auto lead = static_cast<unsigned char>(text[at]);
    const size_t bytes = character_bytes(lead);
    if (begins_character(text.substr(at), bytes)) {
      const auto second = static_cast<unsigned char>(text[at + 1]);
      if (lead == 0xc2 && is_c1(second)) {
        out += fmt::format("\\u{:04x}", second);
      } else {
        out += text.substr(at, bytes);
      }
      at += bytes;
      continue;
    }
    const bool control = (lead < 0x20 && lead != '\n' && lead != '\t') || lead == 0x7f;
    if (control || is_c1(lead)) {
      out += fmt::format("\\x{:02x}", lead);
    } else {
      out += text[at];
    }
    ++at;
  }
  return out;
}

}  // namespace braid
