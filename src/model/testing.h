// Helpers of this folder's tests.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/temp_folder.h"
#include "model/family.h"
#include "model/known_keys.h"
#include "model/safetensors.h"

namespace braid::model {

// How gtest shows a note.
inline void PrintTo(const Note& note, std::ostream* out) {
  *out << (note.warning ? "warning: " : "remark: ") << note.text;
}

}  // namespace braid::model

namespace braid::model::testing {

inline std::string source_path(std::string_view path) {
  return std::string(BRAID_SOURCE_DIR "/") + std::string(path);
}

inline std::string golden_folder(std::string_view name) {
  return source_path("tests/goldens/" + std::string(name));
}

// The family that goldens name so ("glm4_moe").
inline const Family& family(std::string_view model_type) {
  for (const Family* known : all_families()) {
    if (known->model_type == model_type) return *known;
  }
  die(__FILE__, __LINE__, "no such family");
}

// A safetensors file of this header text, and data of `data_bytes` counted up from 0.
inline std::string safetensors_text(std::string_view header, size_t data_bytes) {
  const uint64_t length = header.size();
  std::string text(sizeof(length), '\0');
  std::memcpy(text.data(), &length, sizeof(length));
  text += header;
  for (size_t i = 0; i < data_bytes; ++i) text += static_cast<char>(i);
  return text;
}

inline std::span<const std::byte> as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

// A tensor on numbers that stand elsewhere.
template <typename T>
TensorView view_of(std::string name, StorageType type, std::vector<int64_t> shape,
                   const std::vector<T>& values) {
  return {std::move(name), type, std::move(shape), std::as_bytes(std::span(values))};
}

// The text of a Result's or Status's error; "ok" when there is none.
inline std::string text_of(const Status& status) { return status.to_string(); }
template <typename T>
std::string text_of(const Result<T>& result) {
  return result.status().to_string();
}

}  // namespace braid::model::testing
