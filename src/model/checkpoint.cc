#include "model/checkpoint.h"

#include <filesystem>
#include <set>
#include <utility>

#include "base/json.h"

namespace braid::model {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kWeights = "model.safetensors";
constexpr std::string_view kIndex = "model.safetensors.index.json";

std::string join(const std::string& folder, std::string_view name) {
  return (fs::path(folder) / name).string();
}

// "name" or "owner/name": what the hub calls a repository.
bool looks_like_repository(std::string_view text) {
  const size_t slash = text.find('/');
  if (text.empty() || text.front() == '.' || text.front() == '/' || text.front() == '~' ||
      text.front() == '-' || text.back() == '/') {
    return false;
  }
  if (slash != text.npos && text.find('/', slash + 1) != text.npos) return false;
  return text.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
             "-_./") == text.npos;
}

Result<WeightMap> read_index(const std::string& path) {
  const Json index = TRY(read_json_file(path));
  const auto map = index.is_object() ? index.find("weight_map") : index.end();
  const auto bad = [&](std::string message) {
    return Error(ErrorKind::corrupt_data, std::move(message)).with("index", path);
  };
  if (!index.is_object() || map == index.end() || !map->is_object() || map->empty()) {
    return bad("the index has no weight_map").remedy("Download the index again.");
  }
  WeightMap weights;
  for (const auto& [tensor, shard] : map->items()) {
    const std::string* file = shard.get_ptr<const std::string*>();
    if (file == nullptr || file->empty() || file->find('/') != file->npos || *file == "..") {
      return bad("the index names something that is no shard in its own folder")
          .with("tensor", tensor)
          .with("shard", shard.dump(-1, ' ', false, Json::error_handler_t::replace));
    }
    weights.emplace(tensor, *file);
  }
  return weights;
}

// A shard that is missing is the likeliest damage: say which, and that it was the index that asked.
Result<SafetensorsFile> open_shard(const std::string& folder, const std::string& shard) {
  const std::string path = join(folder, shard);
  std::error_code code;
  if (!fs::exists(path, code)) {
    return Error(ErrorKind::not_found, "a shard that the index names is missing")
        .with("shard", shard)
        .with("folder", folder)
        .remedy("Download the model again; finished files are kept.");
  }
  return SafetensorsFile::open(path);
}

}  // namespace

Status check_model_folder(const std::string& model) {
  std::error_code code;
  if (fs::is_directory(model, code)) return {};
  if (fs::exists(model, code)) {
    return Error(ErrorKind::not_found, "the model is a file, a folder was expected")
        .with("model", model)
        .remedy("Pass the folder that holds config.json and the .safetensors files.");
  }
  Error error = Error(ErrorKind::not_found, "there is no such model folder").with("model", model);
  if (!looks_like_repository(model)) {
    return std::move(error).remedy(
        "Pass the folder that holds config.json and the .safetensors files.");
  }
  return std::move(error).remedy(
      fmt::format("Download it with: huggingface-cli download {0} --local-dir {0}", model));
}

Result<Checkpoint> Checkpoint::open(const std::string& folder) {
  TRY(check_model_folder(folder));
  Checkpoint checkpoint;
  checkpoint.folder_ = folder;
  std::error_code code;
  if (fs::exists(join(folder, kWeights), code)) {
    TRY(checkpoint.add(TRY(SafetensorsFile::open(join(folder, kWeights)))));
    return checkpoint;
  }
  if (!fs::exists(join(folder, kIndex), code)) {
    return Error(ErrorKind::not_found, "the folder has no weights")
        .with("folder", folder)
        .remedy(
            fmt::format("Expected {} or {}; other weight formats are not read.", kWeights, kIndex));
  }
  const WeightMap weight_map = TRY(read_index(join(folder, kIndex)));
  std::set<std::string> shards;
  for (const auto& [tensor, shard] : weight_map) shards.insert(shard);
  for (const std::string& shard : shards) TRY(checkpoint.add(TRY(open_shard(folder, shard))));
  TRY(checkpoint.check_index(weight_map));
  return checkpoint;
}

Status Checkpoint::check_index(const WeightMap& weight_map) const {
  for (const auto& [tensor, shard] : weight_map) {
    const auto found = tensors_.find(tensor);
    if (found == tensors_.end() || files_[found->second.file].path() != join(folder_, shard)) {
      return Error(ErrorKind::corrupt_data, "a shard lacks a tensor that the index says it has")
          .with("tensor", tensor)
          .with("shard", shard)
          .with("folder", folder_)
          .remedy("Index and shards are of different versions: download the model again.");
    }
  }
  return {};
}

Status Checkpoint::add(SafetensorsFile file) {
  files_.push_back(std::move(file));
  for (const StoredTensor& tensor : files_.back().tensors()) {
    const Place here{&tensor, files_.size() - 1};
    const auto [place, added] = tensors_.insert({tensor.name, here});
    if (!added) {
      return Error(ErrorKind::corrupt_data, "a tensor stands in two shards")
          .with("tensor", tensor.name)
          .with("first", files_[place->second.file].path())
          .with("second", files_.back().path())
          .remedy("Remove the shard that does not belong to the model, or download it again.");
    }
  }
  return {};
}

Result<const StoredTensor*> Checkpoint::find(std::string_view name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) {
    return Error(ErrorKind::not_found, "the checkpoint lacks a tensor")
        .with("tensor", name)
        .with("folder", folder_)
        .remedy("The weights do not belong to this config.json, or the download is incomplete.");
  }
  return found->second.tensor;
}

int64_t Checkpoint::bytes() const {
  int64_t sum = 0;
  for (const auto& [name, place] : tensors_) {
    sum += place.tensor->bytes;
  }
  return sum;
}

}  // namespace braid::model
