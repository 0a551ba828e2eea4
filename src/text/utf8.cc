#include "text/utf8.h"

#include <algorithm>

namespace braid::text {
namespace {

// How a first byte constrains the bytes behind it. bytes = 0: it begins no character.
struct Lead {
  size_t bytes;
  uint8_t second_low;
  uint8_t second_high;
};

Lead lead_of(uint8_t byte) {
  if (byte < 0x80) return {1, 0, 0};
  if (byte < 0xc2) return {0, 0, 0};
  if (byte < 0xe0) return {2, 0x80, 0xbf};
  if (byte == 0xe0) return {3, 0xa0, 0xbf};  // lower would be overlong
  if (byte == 0xed) return {3, 0x80, 0x9f};  // higher would be a surrogate
  if (byte < 0xf0) return {3, 0x80, 0xbf};
  if (byte == 0xf0) return {4, 0x90, 0xbf};  // lower would be overlong
  if (byte < 0xf4) return {4, 0x80, 0xbf};
  if (byte == 0xf4) return {4, 0x80, 0x8f};  // higher would pass U+10FFFF
  return {0, 0, 0};
}

}  // namespace

Utf8Scan scan_utf8(std::string_view bytes) {
  const Lead lead = lead_of(static_cast<uint8_t>(bytes[0]));
  if (lead.bytes == 0) return {Utf8Scan::Kind::invalid, 1};
  for (size_t i = 1; i < lead.bytes; ++i) {
    if (i == bytes.size()) return {Utf8Scan::Kind::truncated, i};
    const auto byte = static_cast<uint8_t>(bytes[i]);
    const uint8_t low = i == 1 ? lead.second_low : 0x80;
    const uint8_t high = i == 1 ? lead.second_high : 0xbf;
    if (byte < low || byte > high) return {Utf8Scan::Kind::invalid, i};
  }
  return {Utf8Scan::Kind::character, lead.bytes};
}

bool is_valid_utf8(std::string_view bytes) {
  while (!bytes.empty()) {
    const Utf8Scan scan = scan_utf8(bytes);
    if (scan.kind != Utf8Scan::Kind::character) return false;
    bytes.remove_prefix(scan.bytes);
  }
  return true;
}

std::string to_valid_utf8(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  while (!bytes.empty()) {
    const Utf8Scan scan = scan_utf8(bytes);
    const bool valid = scan.kind == Utf8Scan::Kind::character;
    text += valid ? bytes.substr(0, scan.bytes) : kReplacementCharacter;
    bytes.remove_prefix(scan.bytes);
  }
  return text;
}

char32_t read_char(std::string_view valid, size_t& at) {
  const size_t bytes = char_bytes(valid[at]);
  const auto lead = static_cast<unsigned char>(valid[at]);
  char32_t code_point = bytes == 1 ? lead : lead & (0x7fu >> bytes);
  for (size_t i = 1; i < bytes; ++i) {
    code_point = (code_point << 6) | (static_cast<unsigned char>(valid[at + i]) & 0x3fu);
  }
  at += bytes;
  return code_point;
}

int64_t count_chars(std::string_view valid) {
  return std::count_if(valid.begin(), valid.end(), [](char c) { return !is_continuation(c); });
}

size_t byte_offset(std::string_view valid, int64_t index) {
  size_t at = 0;
  while (index-- > 0 && at < valid.size()) at += char_bytes(valid[at]);
  return at;
}

void append_utf8(std::string& text, char32_t code_point) {
  const auto tail = [&](int shift) {
    text += static_cast<char>(0x80 | ((code_point >> shift) & 0x3f));
  };
  if (code_point < 0x80) {
    text += static_cast<char>(code_point);
  } else if (code_point < 0x800) {
    text += static_cast<char>(0xc0 | (code_point >> 6));
    tail(0);
  } else if (code_point < 0x10000) {
    text += static_cast<char>(0xe0 | (code_point >> 12));
    tail(6);
    tail(0);
  } else {
    text += static_cast<char>(0xf0 | (code_point >> 18));
    tail(12);
    tail(6);
    tail(0);
  }
}

}  // namespace braid::text
