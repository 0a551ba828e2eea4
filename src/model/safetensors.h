// safetensors files (github.com/huggingface/safetensors, section "Format" of its README): 8 bytes
// of header length, a JSON header, then the tensors' bytes without gaps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "model/mapped_file.h"
#include "model/storage_type.h"

namespace braid::model {

struct TensorView {
  std::string name;
  StorageType type = StorageType::f32;
  std::vector<int64_t> shape;        // empty: a scalar
  std::span<const std::byte> bytes;  // row-major, little-endian, of any alignment
};

// The tensors of a whole file in memory, in the order of their bytes. `source` names it in errors.
// Refuses a header that does not describe every byte exactly once, and a name that stands twice.
Result<std::vector<TensorView>> parse_safetensors(std::span<const std::byte> file,
                                                  std::string_view source);

// A mapped file and its tensors; the views live as long as it does, moving it keeps them.
class SafetensorsFile {
 public:
  static Result<SafetensorsFile> open(const std::string& path);

  const std::string& path() const { return path_; }
  const std::vector<TensorView>& tensors() const { return tensors_; }
  // Null when there is none. Linear: a Checkpoint has an index.
  const TensorView* find(std::string_view name) const;

 private:
  SafetensorsFile(std::string path, MappedFile file, std::vector<TensorView> tensors);

  std::string path_;
  MappedFile file_;
  std::vector<TensorView> tensors_;
};

// Writes a file in which the tensors' bytes are aligned to their element size. Replaces an existing
// file once the new one is whole. Refuses two tensors of one name, and bytes that don't agree with
// type and shape.
Status write_safetensors(const std::string& path, std::span<const TensorView> tensors);

}  // namespace braid::model
