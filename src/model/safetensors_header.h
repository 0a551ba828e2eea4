// The JSON header of a safetensors file, read strictly and without building a document.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "model/storage_type.h"

namespace braid::model {

// One tensor as its header entry describes it.
struct HeaderEntry {
  std::string name;
  StorageType type = StorageType::f32;
  std::vector<int64_t> shape;
  int64_t begin = 0;  // offsets into the data that follows the header
  int64_t end = 0;    // begin + bytes of the shape, checked
};

// Entries in the header's order. Checks each entry by itself: known dtype, a shape whose bytes
// don't overflow and agree with the offsets, no key missing or twice, no name twice. That entries
// agree with each other and with the file is the caller's to check.
Result<std::vector<HeaderEntry>> parse_safetensors_header(std::string_view json,
                                                          std::string_view source);

// Bytes of a tensor of that shape, or nothing when a dimension is negative or they overflow.
std::optional<int64_t> tensor_bytes(StorageType type, std::span<const int64_t> shape);

// "[2, 3]", for errors.
std::string shape_text(std::span<const int64_t> shape);

}  // namespace braid::model
