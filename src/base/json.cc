#include "base/json.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace braid {
namespace {

constexpr int kMaxDepth = 256;

}  // namespace

Result<Json> parse_json(std::string_view text, std::string_view source) {
  bool too_deep = false;
  const auto limit_depth = [&](int depth, Json::parse_event_t, Json&) {
    too_deep = too_deep || depth > kMaxDepth;
    return depth <= kMaxDepth;
  };
  // A parser callback runs before values are stored, so depth is bounded while parsing.
  Json json = Json::parse(text.begin(), text.end(), limit_depth, /*allow_exceptions=*/false);
  if (too_deep) {
    return Error(ErrorKind::corrupt_data, "JSON is nested too deeply")
        .with("source", source)
        .with("limit", kMaxDepth);
  }
  if (json.is_discarded()) {
    return Error(ErrorKind::corrupt_data, "not valid JSON")
        .with("source", source)
        .with("bytes", text.size());
  }
  return json;
}

Result<std::string> read_file(const std::string& path, int64_t max_bytes) {
  std::error_code code;
  if (std::filesystem::is_directory(path, code)) {
    return Error(ErrorKind::not_found, "a file was expected, this is a folder").with("path", path);
  }
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) {
    return Error(ErrorKind::not_found, "cannot open file")
        .with("path", path)
        .with("reason", std::strerror(errno));
  }
  const auto size = static_cast<int64_t>(file.tellg());
  if (size > max_bytes) {
    return Error(ErrorKind::corrupt_data, "file is larger than expected")
        .with("path", path)
        .with("bytes", size)
        .with("limit", max_bytes);
  }
  std::string content(static_cast<size_t>(size), '\0');
  file.seekg(0);
  if (!file.read(content.data(), size)) {
    return Error(ErrorKind::corrupt_data, "cannot read the whole file")
        .with("path", path)
        .with("bytes", size);
  }
  return content;
}

Result<Json> read_json_file(const std::string& path, int64_t max_bytes) {
  const std::string content = TRY(read_file(path, max_bytes));
  return parse_json(content, path);
}

}  // namespace braid
