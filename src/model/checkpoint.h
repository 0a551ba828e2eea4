// The weights of a model folder: one model.safetensors, or shards named by an index.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/status.h"
#include "model/safetensors.h"

namespace braid::model {

// Ok when `model` is a folder. Else the error's remedy is the command that downloads it.
Status check_model_folder(const std::string& model);

// Tensor → the file name of its shard, as in the index.
using WeightMap = std::map<std::string, std::string>;

// All tensors of a folder. They stay valid as long as the Checkpoint that they came from (moving it
// keeps them). Reading is thread-safe.
class Checkpoint {
 public:
  // Opens model.safetensors, or else every shard that model.safetensors.index.json names. Each
  // tensor must be where the index says it is, and in one shard only.
  static Result<Checkpoint> open(const std::string& folder);

  // The tensor, or a not_found error that names it and the folder.
  Result<const StoredTensor*> find(std::string_view name) const;
  bool has(std::string_view name) const { return tensors_.count(name) > 0; }

  const std::string& folder() const { return folder_; }
  const std::vector<SafetensorsFile>& files() const { return files_; }
  int64_t bytes() const;  // of all tensors

 private:
  Status add(SafetensorsFile file);
  Status check_index(const WeightMap& weight_map) const;

  std::string folder_;
  std::vector<SafetensorsFile> files_;
  struct Place {
    const StoredTensor* tensor;
    size_t file;  // index into files_
  };
  std::unordered_map<std::string_view, Place> tensors_;  // keys point into files_
};

}  // namespace braid::model
