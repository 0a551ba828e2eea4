#include "cli/profile_folder.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>

#include "base/output_file.h"

namespace braid::cli {
namespace {

namespace fs = std::filesystem;

// What both files have near their start, so that they are known again.
constexpr std::array<std::string_view, 2> kMarks = {"<!-- made by braid profile -->",
                                                    R"("made_by":"braid")"};
constexpr int64_t kMarkBytes = 256;  // where they are looked for

}  // namespace

Result<ProfileFolder> ProfileFolder::open(const std::string& path) {
  std::error_code failed;
  fs::create_directories(path, failed);
  if (failed || !fs::is_directory(path)) {
    return Error(ErrorKind::usage, "the folder cannot be made")
        .with("--output-dir", path)
        .with("reason", failed ? failed.message() : "something else has this name");
  }
  const ProfileFolder folder(path);
  for (const std::string_view name : {kPage, kTrace}) TRY(folder.check(name));
  return folder;
}

Status ProfileFolder::write(std::string_view name, std::string_view text) const {
  return write_file(path_of(name), text, "the profile");
}

Status ProfileFolder::check(std::string_view name) const {
  const std::string path = path_of(name);
  std::error_code failed;
  if (!fs::exists(fs::symlink_status(path, failed))) return {};
  std::ifstream file(path, std::ios::binary);
  std::string start(kMarkBytes, '\0');
  file.read(start.data(), kMarkBytes);
  const bool ours = std::any_of(kMarks.begin(), kMarks.end(), [&](std::string_view mark) {
    return start.find(mark) != std::string::npos;
  });
  if (ours) return {};
  return Error(ErrorKind::usage, "there is a file of this name that braid profile has not written")
      .with("file", path)
      .remedy("Give another folder with --output-dir, or move the file away.");
}

}  // namespace braid::cli
