#include "support/checkpoint_copy.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/float16.h"
#include "model/safetensors.h"

namespace braid::testing {
namespace {

namespace fs = std::filesystem;
using model::StorageType;

}  // namespace

std::string make_temp_folder() {
  std::string path = ::testing::TempDir() + "braid_XXXXXX";
  BRAID_CHECK(mkdtemp(path.data()) != nullptr, "(mkdtemp {}: {})", path, std::strerror(errno));
  return path;
}

CheckpointCopy::CheckpointCopy(const std::string& folder) {
  config_ = read_json_file(folder + "/config.json").value();
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const fs::path& path = entry.path();
    if (path.extension() != ".safetensors" || path.filename() == "golden.safetensors") continue;
    const auto file = model::SafetensorsFile::open(path.string());
    for (const model::StoredTensor& stored : file.value().tensors()) {
      tensors_[stored.name] = {stored.type, stored.shape, stored.read().value()};
    }
  }
  BRAID_CHECK(!tensors_.empty(), "(no tensors in {})", folder);
}

CheckpointCopy::~CheckpointCopy() {
  if (!written_.empty()) fs::remove_all(written_);
}

void CheckpointCopy::edit_config(const Json& changes) {
  for (const auto& [key, value] : changes.items()) {
    if (value.is_null()) {
      BRAID_CHECK(config_.erase(key) == 1, "(config.json has no {})", key);
    } else {
      config_[key] = value;
    }
  }
}

const std::vector<int64_t>& CheckpointCopy::shape(const std::string& tensor) const {
  return tensors_.at(tensor).shape;
}

std::vector<float> CheckpointCopy::floats(const std::string& tensor) const {
  const Tensor& stored = tensors_.at(tensor);
  const auto size = stored.bytes.size() / static_cast<size_t>(bytes_of(stored.type));
  std::vector<float> values(size);
  if (stored.type == StorageType::f32) {
    std::memcpy(values.data(), stored.bytes.data(), stored.bytes.size());
    return values;
  }
  BRAID_CHECK(stored.type == StorageType::bf16, "({} is {})", tensor, name_of(stored.type));
  for (size_t i = 0; i < size; ++i) {
    bf16 value;
    std::memcpy(&value, &stored.bytes[i * sizeof(value)], sizeof(value));
    values[i] = to_float(value);
  }
  return values;
}

void CheckpointCopy::set(const std::string& tensor, std::vector<int64_t> shape,
                         const std::vector<float>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  tensors_[tensor] = {StorageType::f32, std::move(shape), {bytes.begin(), bytes.end()}};
}

void CheckpointCopy::fill(const std::string& tensor, float value) {
  std::vector<float> values = floats(tensor);
  std::fill(values.begin(), values.end(), value);
  set(tensor, shape(tensor), values);
}

void CheckpointCopy::copy(const std::string& from, const std::string& to) {
  tensors_[to] = tensors_.at(from);
}

void CheckpointCopy::move(const std::string& from, const std::string& to) {
  copy(from, to);
  tensors_.erase(from);
}

void CheckpointCopy::erase(const std::string& prefix) {
  const size_t erased =
      std::erase_if(tensors_, [&](const auto& entry) { return entry.first.starts_with(prefix); });
  BRAID_CHECK(erased > 0, "(no tensor {}*)", prefix);
}

std::string CheckpointCopy::write() {
  BRAID_CHECK(written_.empty(), "(written to {} before)", written_);
  written_ = make_temp_folder();
  std::ofstream(written_ + "/config.json") << config_.dump(2);
  std::vector<model::TensorView> views;
  for (const auto& [name, tensor] : tensors_) {
    views.push_back({name, tensor.type, tensor.shape, tensor.bytes});
  }
  const Status status = model::write_safetensors(written_ + "/model.safetensors", views);
  BRAID_CHECK(status.ok(), "{}", status.to_string());
  return written_;
}

}  // namespace braid::testing
