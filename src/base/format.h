// Storage formats of a Value's elements.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/status.h"

namespace braid {

// The formats that a buffer on a device can have. What a checkpoint stores (model/) is wider.
enum class Format : uint8_t { f32, bf16, f16, i32, i64, u8, u64, f64 };

constexpr int64_t bytes_of(Format format) {
  switch (format) {
    case Format::f32:
    case Format::i32: return 4;
    case Format::bf16:
    case Format::f16: return 2;
    case Format::i64:
    case Format::u64:
    case Format::f64: return 8;
    case Format::u8: return 1;
  }
  return 0;
}

std::string_view name_of(Format format);

// "float32" or "bfloat16", as parse_dtype takes it.
std::string_view dtype_name(Format format);

// "float32" or "bfloat16" (as in --dtype), else a usage error that names both.
Result<Format> parse_dtype(std::string_view text);

}  // namespace braid
