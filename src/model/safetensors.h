// safetensors files (github.com/huggingface/safetensors, section "Format" of its README): 8 bytes
// of header length, a JSON header, then the tensors' bytes without gaps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "model/input_file.h"
#include "model/safetensors_header.h"
#include "model/storage_type.h"

namespace braid::model {

// A tensor whose bytes are in memory, to be written.
struct TensorView {
  std::string name;
  StorageType type = StorageType::f32;
  std::vector<int64_t> shape;        // empty: a scalar
  std::span<const std::byte> bytes;  // row-major, little-endian, of any alignment
};

// What the header says of a file of `file_bytes`: its entries in the order of their bytes, begin
// and end counted from the file's start. `start` holds the file up to the end of the header, or
// more. `source` names it in errors. Refuses a header that does not describe every byte exactly
// once, and a name that stands twice.
Result<std::vector<HeaderEntry>> parse_safetensors(std::span<const std::byte> start,
                                                   int64_t file_bytes, std::string_view source);

// A tensor in its file, which the SafetensorsFile that it is of keeps open.
struct StoredTensor {
  std::string name;
  StorageType type = StorageType::f32;
  std::vector<int64_t> shape;  // empty: a scalar
  int64_t offset = 0;          // of its first byte in the file
  int64_t bytes = 0;
  const InputFile* file = nullptr;

  // Fills `out` with its bytes from `first` on (row-major, little-endian). corrupt_data, with
  // tensor and file, when they can't be read. From any thread.
  Status read(int64_t first, std::span<std::byte> out) const;
  Result<std::vector<std::byte>> read() const;  // all of them
};

// An open file and its tensors, which live as long as it does; moving it keeps them.
class SafetensorsFile {
 public:
  static Result<SafetensorsFile> open(const std::string& path);

  const std::string& path() const { return file_->path(); }
  const std::vector<StoredTensor>& tensors() const { return tensors_; }
  // Null when there is none. Linear: a Checkpoint has an index.
  const StoredTensor* find(std::string_view name) const;

 private:
  explicit SafetensorsFile(std::unique_ptr<const InputFile> file) : file_(std::move(file)) {}

  std::unique_ptr<const InputFile> file_;
  std::vector<StoredTensor> tensors_;
};

// Writes a file in which the tensors' bytes are aligned to their element size. Replaces an existing
// file once the new one is whole. Refuses two tensors of one name, and bytes that don't agree with
// type and shape.
Status write_safetensors(const std::string& path, std::span<const TensorView> tensors);

}  // namespace braid::model
