// CheckpointCopy: a checkpoint read into memory, edited, and written to a folder of its own.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "model/storage_type.h"

namespace braid::testing {

// Every mistake in the use of it ends the program.
class CheckpointCopy {
 public:
  // Reads config.json and all tensors of a model's folder.
  explicit CheckpointCopy(const std::string& folder);
  CheckpointCopy(const CheckpointCopy&) = delete;
  CheckpointCopy& operator=(const CheckpointCopy&) = delete;
  ~CheckpointCopy();  // removes what write() wrote

  Json& config() { return config_; }
  const Json& config() const { return config_; }
  // Replaces keys of config.json; a value of null removes its key.
  void edit_config(const Json& changes);

  const std::vector<int64_t>& shape(const std::string& tensor) const;
  std::vector<float> floats(const std::string& tensor) const;  // of an f32 or bf16 tensor
  // Adds or replaces a tensor, stored as f32.
  void set(const std::string& tensor, std::vector<int64_t> shape, const std::vector<float>& values);
  // The same with one value for all elements, in the shape that the tensor has.
  void fill(const std::string& tensor, float value);
  void copy(const std::string& from, const std::string& to);
  void move(const std::string& from, const std::string& to);
  // Removes every tensor whose name starts so; there must be one.
  void erase(const std::string& prefix);

  // Writes config.json and one model.safetensors to a new folder; its path. Once only.
  std::string write();

 private:
  struct Tensor {
    model::StorageType type = model::StorageType::f32;
    std::vector<int64_t> shape;
    std::vector<std::byte> bytes;
  };

  Json config_;
  std::map<std::string, Tensor> tensors_;
  std::string written_;
};

// A new empty folder for the running test.
std::string make_temp_folder();

}  // namespace braid::testing
