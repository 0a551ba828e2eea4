// A file mapped read-only into memory.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "base/status.h"

namespace braid::model {

// Owns the mapping; moving it keeps the bytes where they are. The file must not be truncated while
// it is mapped (the kernel would raise SIGBUS).
class MappedFile {
 public:
  // not_found when it does not open, corrupt_data when it is empty or no regular file.
  static Result<MappedFile> open(const std::string& path);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  explicit MappedFile(std::span<const std::byte> bytes) : bytes_(bytes) {}
  std::span<const std::byte> bytes_;
};

}  // namespace braid::model
