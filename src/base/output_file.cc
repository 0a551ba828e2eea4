#include "base/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace braid {
namespace {

// Whether something is there that can't be replaced by a file: a pipe, a terminal, /dev/null.
bool is_special(const std::string& path) {
  struct stat found {};
  return ::stat(path.c_str(), &found) == 0 && !S_ISREG(found.st_mode);
}

// What a symbolic link leads to is replaced, not the link.
std::string resolved(const std::string& path) {
  struct stat found {};
  if (::lstat(path.c_str(), &found) != 0 || !S_ISLNK(found.st_mode)) return path;
  char* real = ::realpath(path.c_str(), nullptr);
  std::string out = real == nullptr ? path : real;
  std::free(real);
  return out;
}

}  // namespace

Result<OutputFile> OutputFile::create(std::string path, std::string what) {
  OutputFile out(std::move(path), std::move(what));
  int flags = O_WRONLY | O_CLOEXEC;
  if (!is_special(out.path_)) {
    out.unfinished_ = resolved(out.path_) + ".unfinished";
    flags |= O_CREAT | O_TRUNC;
  }
  const std::string& name = out.unfinished_.empty() ? out.path_ : out.unfinished_;
  out.file_ = ::open(name.c_str(), flags, 0666);
  if (out.file_ >= 0) return out;
  const int code = errno;
  out.unfinished_.clear();
  return Error(ErrorKind::usage, out.what_ + " can't be written")
      .with("file", out.path_)
      .with("reason", std::strerror(code));
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::move(other.path_)),
      what_(std::move(other.what_)),
      unfinished_(std::exchange(other.unfinished_, {})),
      file_(std::exchange(other.file_, -1)) {}

OutputFile& OutputFile::operator=(OutputFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(what_, other.what_);
  std::swap(unfinished_, other.unfinished_);
  std::swap(file_, other.file_);
  return *this;
}

OutputFile::~OutputFile() { discard(); }

void OutputFile::discard() {
  if (file_ >= 0) ::close(file_);
  if (!unfinished_.empty()) ::unlink(unfinished_.c_str());
  file_ = -1;
  unfinished_.clear();
}

Error OutputFile::failed(int code) const {
  return Error(ErrorKind::fault, what_ + " could not be written whole: nothing of it is kept")
      .with("file", path_)
      .with("reason", std::strerror(code));
}

Status OutputFile::write(std::string_view text) {
  BRAID_CHECK(file_ >= 0, "({} is finished)", path_);
  while (!text.empty()) {
    const ssize_t written = ::write(file_, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return failed(errno);
    text.remove_prefix(static_cast<size_t>(written));
  }
  return {};
}

Status OutputFile::finish() {
  BRAID_CHECK(file_ >= 0, "({} is finished)", path_);
  const bool closed = ::close(std::exchange(file_, -1)) == 0;
  if (closed && unfinished_.empty()) return {};
  const std::string name = unfinished_.substr(0, unfinished_.rfind('.'));
  if (!closed || ::rename(unfinished_.c_str(), name.c_str()) != 0) {
    const int code = errno;
    discard();
    return failed(code);
  }
  unfinished_.clear();
  return {};
}

Status write_file(const std::string& path, std::string_view text, const std::string& what) {
  OutputFile file = TRY(OutputFile::create(path, what));
  TRY(file.write(text));
  return file.finish();
}

}  // namespace braid
