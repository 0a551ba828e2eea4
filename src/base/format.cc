#include "base/format.h"

namespace braid {

std::string_view name_of(Format format) {
  switch (format) {
    case Format::f32: return "f32";
    case Format::bf16: return "bf16";
    case Format::f16: return "f16";
    case Format::i32: return "i32";
    case Format::i64: return "i64";
    case Format::u8: return "u8";
    case Format::u64: return "u64";
    case Format::f64: return "f64";
  }
  return "?";
}

std::string_view dtype_name(Format format) {
  BRAID_CHECK(format == Format::f32 || format == Format::bf16, "({})", name_of(format));
  return format == Format::f32 ? "float32" : "bfloat16";
}

Result<Format> parse_dtype(std::string_view text) {
  if (text == "float32" || text == "float") return Format::f32;
  if (text == "bfloat16") return Format::bf16;
  return Error(ErrorKind::usage, "unknown dtype")
      .with("dtype", text)
      .remedy("Use float32 or bfloat16 (float16 checkpoints load into either).");
}

}  // namespace braid
