#include "model/storage_type.h"

#include <array>

namespace braid::model {
namespace {

struct Entry {
  StorageType type;
  std::string_view name;
  int64_t bytes;
};

// They stand in the order of the enum.
constexpr std::array<Entry, 15> kTypes = {{
    {StorageType::f64, "F64", 8},
    {StorageType::f32, "F32", 4},
    {StorageType::f16, "F16", 2},
    {StorageType::bf16, "BF16", 2},
    {StorageType::f8_e4m3, "F8_E4M3", 1},
    {StorageType::f8_e5m2, "F8_E5M2", 1},
    {StorageType::i64, "I64", 8},
    {StorageType::i32, "I32", 4},
    {StorageType::i16, "I16", 2},
    {StorageType::i8, "I8", 1},
    {StorageType::u64, "U64", 8},
    {StorageType::u32, "U32", 4},
    {StorageType::u16, "U16", 2},
    {StorageType::u8, "U8", 1},
    {StorageType::boolean, "BOOL", 1},
}};

constexpr bool in_order() {
  for (size_t i = 0; i < kTypes.size(); ++i) {
    if (static_cast<size_t>(kTypes[i].type) != i) return false;
  }
  return true;
}
static_assert(in_order());

}  // namespace

std::string_view name_of(StorageType type) { return kTypes[static_cast<size_t>(type)].name; }

int64_t bytes_of(StorageType type) { return kTypes[static_cast<size_t>(type)].bytes; }

std::optional<StorageType> parse_storage_type(std::string_view name) {
  for (const Entry& entry : kTypes) {
    if (entry.name == name) return entry.type;
  }
  return std::nullopt;
}

}  // namespace braid::model
