// The element types of stored tensors, by their names in safetensors headers.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace braid::model {

enum class StorageType : uint8_t {
  f64,
  f32,
  f16,
  bf16,
  f8_e4m3,
  f8_e5m2,
  i64,
  i32,
  i16,
  i8,
  u64,
  u32,
  u16,
  u8,
  boolean
};

// "F32", "BF16", "F8_E4M3", …
std::string_view name_of(StorageType type);
std::optional<StorageType> parse_storage_type(std::string_view name);
int64_t bytes_of(StorageType type);

}  // namespace braid::model
