#include "model/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace braid::model {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  int value() const { return value_; }

 private:
  int value_;
};

void unmap(std::span<const std::byte> bytes) {
  if (!bytes.empty()) ::munmap(const_cast<std::byte*>(bytes.data()), bytes.size());
}

Error system_error(ErrorKind kind, std::string message, const std::string& path) {
  const std::string reason = std::strerror(errno);
  return Error(kind, std::move(message)).with("path", path).with("reason", reason);
}

}  // namespace

Result<MappedFile> MappedFile::open(const std::string& path) {
  // Non-blocking: opening a pipe by mistake must not hang.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.value() < 0) return system_error(ErrorKind::not_found, "cannot open file", path);
  struct stat info {};
  if (::fstat(file.value(), &info) != 0) {
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
  const auto size = static_cast<size_t>(info.st_size);
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.value(), 0);
  if (address == MAP_FAILED) {
    return system_error(ErrorKind::exhausted, "cannot map the file into memory", path);
  }
  return MappedFile({static_cast<const std::byte*>(address), size});
}

MappedFile::MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  if (this != &other) {
    unmap(bytes_);
    bytes_ = std::exchange(other.bytes_, {});
  }
  return *this;
}

MappedFile::~MappedFile() { unmap(bytes_); }

}  // namespace braid::model
