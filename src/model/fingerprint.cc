#include "model/fingerprint.h"

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <set>

#include "base/digest.h"
#include "base/json.h"

namespace braid::model {
namespace {

namespace fs = std::filesystem;

constexpr size_t kShown = 8;                          // bytes of a digest
constexpr uint64_t kMaxHeader = uint64_t{100} << 20;  // as the format has it

std::string shown(std::string_view bytes) { return hex(sha256(bytes).substr(0, kShown)); }

// The names of the weight files: those that the index names, or else the one without an index.
std::set<std::string> weight_files(const std::string& folder) {
  const Result<Json> index = read_json_file(folder + "/model.safetensors.index.json");
  if (!index.ok() || fs::exists(folder + "/model.safetensors")) return {"model.safetensors"};
  std::set<std::string> names;
  const auto map = index->find("weight_map");
  if (map == index->end()) return names;
  for (const Json& shard : *map) {
    if (shard.is_string()) names.insert(shard.get<std::string>());
  }
  return names;
}

// The length and the JSON behind it (safetensors); nothing where the file is no such file.
std::string header_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  uint64_t length = 0;
  if (!file.read(reinterpret_cast<char*>(&length), sizeof(length)) || length > kMaxHeader)
    return {};
  std::string header(length, '\0');
  if (!file.read(header.data(), static_cast<std::streamsize>(length))) return {};
  return header;
}

}  // namespace

std::string fingerprint_of_file(const std::string& path) {
  const Result<std::string> bytes = read_file(path);
  return bytes.ok() ? shown(*bytes) : "none";
}

std::string fingerprint_of_headers(const std::string& folder) {
  std::string all;
  for (const std::string& name : weight_files(folder)) {
    all += name + '\0' + sha256(header_of((fs::path(folder) / name).string()));
  }
  return shown(all);
}

}  // namespace braid::model
