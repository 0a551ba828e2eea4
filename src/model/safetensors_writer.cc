#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <unordered_set>

#include "base/json.h"
#include "model/safetensors.h"
#include "model/safetensors_header.h"

namespace braid::model {
namespace {

constexpr size_t kHeaderAlignment = 64;

Status check(std::span<const TensorView> tensors) {
  std::unordered_set<std::string_view> names;
  for (const TensorView& tensor : tensors) {
    if (!names.insert(tensor.name).second || tensor.name == "__metadata__") {
      return Error(ErrorKind::usage, "a tensor's name is taken").with("tensor", tensor.name);
    }
    if (tensor_bytes(tensor.type, tensor.shape) != static_cast<int64_t>(tensor.bytes.size())) {
      return Error(ErrorKind::usage, "a tensor's bytes do not agree with its type and shape")
          .with("tensor", tensor.name)
          .with("dtype", name_of(tensor.type))
          .with("shape", shape_text(tensor.shape))
          .with("bytes", tensor.bytes.size());
    }
  }
  return {};
}

// Wide elements first: then every tensor is aligned to its element size.
std::vector<const TensorView*> by_element_size(std::span<const TensorView> tensors) {
  std::vector<const TensorView*> order;
  for (const TensorView& tensor : tensors) order.push_back(&tensor);
  std::stable_sort(order.begin(), order.end(), [](const TensorView* a, const TensorView* b) {
    return bytes_of(a->type) > bytes_of(b->type);
  });
  return order;
}

// The length and the JSON, padded with spaces so that the data starts aligned.
std::string header_of(std::span<const TensorView* const> order) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  size_t offset = 0;
  for (const TensorView* tensor : order) {
    const size_t end = offset + tensor->bytes.size();
    header[tensor->name] = {{"dtype", std::string(name_of(tensor->type))},
                            {"shape", tensor->shape},
                            {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string json = header.dump(-1, ' ', false, Json::error_handler_t::replace);
  while ((8 + json.size()) % kHeaderAlignment != 0) json += ' ';
  const uint64_t length = json.size();
  std::string text(8, '\0');
  std::memcpy(text.data(), &length, 8);
  return text + json;
}

Error cannot_write(const std::string& path) {
  return Error(ErrorKind::not_found, "cannot write file")
      .with("path", path)
      .with("reason", std::strerror(errno));
}

}  // namespace

Status write_safetensors(const std::string& path, std::span<const TensorView> tensors) {
  TRY(check(tensors));
  const std::vector<const TensorView*> order = by_element_size(tensors);
  const std::string unfinished = path + ".unfinished";
  std::ofstream file(unfinished, std::ios::binary | std::ios::trunc);
  if (!file) return cannot_write(unfinished);
  file << header_of(order);
  for (const TensorView* tensor : order) {
    file.write(reinterpret_cast<const char*>(tensor->bytes.data()),
               static_cast<std::streamsize>(tensor->bytes.size()));
  }
  file.close();
  if (!file || std::rename(unfinished.c_str(), path.c_str()) != 0) {
    const Error error = cannot_write(path);
    std::remove(unfinished.c_str());
    return error;
  }
  return {};
}

}  // namespace braid::model
