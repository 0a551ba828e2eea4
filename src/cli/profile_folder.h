// The folder that braid profile writes to.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "base/status.h"

namespace braid::cli {

class ProfileFolder {
 public:
  // Makes the folder. `usage` where it can't be, or a file of another origin would be lost.
  static Result<ProfileFolder> open(const std::string& path);

  Status write(std::string_view name, std::string_view text) const;
  std::string path_of(std::string_view name) const { return fmt::format("{}/{}", path_, name); }

  static constexpr std::string_view kPage = "timeline.html";
  static constexpr std::string_view kTrace = "trace.json";

 private:
  explicit ProfileFolder(std::string path) : path_(std::move(path)) {}
  Status check(std::string_view name) const;

  std::string path_;
};

}  // namespace braid::cli
