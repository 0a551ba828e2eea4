#include "model/input_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace braid::model {
namespace {

Error system_error(ErrorKind kind, std::string message, const std::string& path) {
  const std::string reason = std::strerror(errno);
  return Error(kind, std::move(message)).with("path", path).with("reason", reason);
}

}  // namespace

Result<InputFile> InputFile::open(const std::string& path) {
  // Non-blocking: opening a pipe by mistake must not hang.
  InputFile file(path, ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info {};
  if (file.descriptor_ < 0 || ::fstat(file.descriptor_, &info) != 0) {
    return system_error(ErrorKind::not_found, "cannot open file", path);
  }
  if (!S_ISREG(info.st_mode)) {
    return Error(ErrorKind::corrupt_data, "not a regular file").with("path", path);
  }
  if (info.st_size == 0) {
    return Error(ErrorKind::corrupt_data, "the file is empty")
        .with("path", path)
        .remedy("Download it again.");
  }
  file.bytes_ = info.st_size;
  return file;
}

Status InputFile::read(int64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    const ssize_t got = ::pread(descriptor_, out.data(), out.size(), offset);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error(ErrorKind::corrupt_data, "cannot read file", path_);
    if (got == 0) {
      return Error(ErrorKind::corrupt_data, "the file has become shorter since it was opened")
          .with("path", path_)
          .with("bytes then", bytes_)
          .with("nothing at", offset)
          .remedy("Let the download finish, or download it again.");
    }
    out = out.subspan(static_cast<size_t>(got));
    offset += got;
  }
  return {};
}

InputFile::InputFile(InputFile&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      bytes_(other.bytes_) {}

InputFile& InputFile::operator=(InputFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

InputFile::~InputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace braid::model
