// safetensors files (github.com/huggingface/safetensors, format section of its README): 8 bytes of
// header length, a JSON header, then the tensors' bytes without gaps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "model/mapped_file.h"

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

// As in the header: "F32", "BF16", "F8_E4M3", …
std::string_view name_of(StorageType type);
std::optional<StorageType> parse_storage_type(std::string_view name);
int64_t bytes_of(StorageType type);

struct TensorView {
  std::string name;
  StorageType type = StorageType::f32;
  std::vector<int64_t> shape;        // empty: a scalar
  std::span<const std::byte> bytes;  // row-major, little-endian, of any alignment
};

// "[2, 3]", for errors.
std::string shape_text(std::span<const int64_t> shape);

// The tensors of a whole file in memory, in the order of their bytes. `source` names it in errors.
// Refuses a header that does not describe every byte exactly once, or a name twice.
Result<std::vector<TensorView>> parse_safetensors(std::span<const std::byte> file,
                                                  std::string_view source);

// A mapped file and its tensors; the views live as long as it does, moving it keeps them.
class SafetensorsFile {
 public:
  static Result<SafetensorsFile> open(const std::string& path);

  const std::string& path() const { return path_; }
  const std::vector<TensorView>& tensors() const { return tensors_; }
  // Null when there is none.
  const TensorView* find(std::string_view name) const;

 private:
  SafetensorsFile(std::string path, MappedFile file, std::vector<TensorView> tensors);

  std::string path_;
  MappedFile file_;
  std::vector<TensorView> tensors_;
};

// Writes a file with the tensors' bytes aligned to their element size. Refuses two tensors of one
// name, and bytes that don't agree with type and shape.
Status write_safetensors(const std::string& path, std::span<const TensorView> tensors);

}  // namespace braid::model
