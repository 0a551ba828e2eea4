// A file that is read in pieces, from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/status.h"

namespace braid::model {

// Owns the descriptor. Reads copy out of the page cache (pread): unlike a mapping, a file that
// becomes shorter meanwhile ends in an error, not in a signal.
class InputFile {
 public:
  // not_found when it does not open, corrupt_data when it is empty or no regular file.
  static Result<InputFile> open(const std::string& path);

  InputFile(InputFile&& other) noexcept;
  InputFile& operator=(InputFile&& other) noexcept;
  ~InputFile();

  const std::string& path() const { return path_; }
  int64_t bytes() const { return bytes_; }  // when it was opened

  // Fills `out` with what is at `offset`. corrupt_data when the file ends before, or the disk
  // fails.
  Status read(int64_t offset, std::span<std::byte> out) const;

 private:
  InputFile(std::string path, int descriptor) : path_(std::move(path)), descriptor_(descriptor) {}

  std::string path_;
  int descriptor_;
  int64_t bytes_ = 0;
};

}  // namespace braid::model
