#include "comm/control/job_secret.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "base/digest.h"

namespace braid::comm {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kRemedy =
    "Give all nodes the same --job-secret-file, or BRAID_JOB_SECRET in their environment.";

Error no_file(const std::string& file, int code) {
  return Error(ErrorKind::exhausted, "the job's secret can't be left for the other nodes")
      .with("file", file)
      .with("error", std::strerror(code))
      .remedy(std::string(kRemedy));
}

}  // namespace

Result<SharedSecret> SharedSecret::make(const std::string& file) {
  SharedSecret secret;
  secret.text_ = hex(random_bytes(kDigestBytes));
  std::error_code failed;
  const fs::path folder = fs::path(file).parent_path();
  if (fs::create_directories(folder, failed)) {
    fs::permissions(folder, fs::perms::owner_all, failed);
  }
  const std::string fresh = fmt::format("{}.{}", file, ::getpid());
  ::unlink(fresh.c_str());
  const int written = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (written < 0) return no_file(file, errno);
  const auto size = static_cast<ssize_t>(secret.text_.size());
  const bool whole = ::write(written, secret.text_.data(), secret.text_.size()) == size;
  const bool closed = ::close(written) == 0;
  if (!whole || !closed || ::rename(fresh.c_str(), file.c_str()) != 0) {
    const int code = errno;
    ::unlink(fresh.c_str());
    return no_file(file, code);
  }
  secret.file_ = file;
  return secret;
}

SharedSecret::~SharedSecret() {
  if (!file_.empty()) ::unlink(file_.c_str());
}

Result<std::optional<std::string>> read_shared_secret(const std::string& file) {
  const int opened = ::open(file.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  if (opened < 0 && errno == ENOENT) return std::optional<std::string>();
  struct stat found {};
  std::array<char, 2 * kDigestBytes> text{};
  const bool there = opened >= 0 && ::fstat(opened, &found) == 0;
  const bool ours = there && found.st_uid == ::geteuid() && (found.st_mode & 0077) == 0;
  const bool whole = ours && ::read(opened, text.data(), text.size()) == std::ssize(text);
  const int code = errno;
  if (opened >= 0) ::close(opened);
  if (whole) return std::optional<std::string>(std::string(text.data(), text.size()));
  if (ours) return std::optional<std::string>();  // it is being replaced
  return Error(ErrorKind::usage, there ? "the file of the job's secret isn't this user's alone"
                                       : "the file of the job's secret can't be read")
      .with("file", file)
      .with("error", there ? "wrong owner or permissions" : std::strerror(code))
      .remedy(std::string(kRemedy));
}

}  // namespace braid::comm
