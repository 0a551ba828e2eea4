#include "support/models.h"

#include <cstring>

#include "model/checkpoint_source.h"
#include "model/dummy_source.h"
#include "model/safetensors.h"

namespace braid::testing {
namespace {

std::unique_ptr<engine::Engine> create(const model::ModelConfig& config,
                                       const start::EngineOptions& options,
                                       const model::TensorSource& source) {
  auto engine = std::move(start::create_engine(config, options)).value();
  const Status loaded = engine->load(source);
  BRAID_CHECK(loaded.ok(), "{}", loaded.to_string());
  return engine;
}

template <typename T>
std::vector<T> values_in(const std::string& path, const std::string& tensor) {
  const auto file = model::SafetensorsFile::open(path);
  BRAID_CHECK(file.ok(), "{}", file.status().to_string());
  const model::StoredTensor* stored = file->find(tensor);
  BRAID_CHECK(stored != nullptr, "{} has no {}", path, tensor);
  std::vector<T> values(static_cast<size_t>(stored->bytes) / sizeof(T));
  const Status read = stored->read(0, std::as_writable_bytes(std::span(values)));
  BRAID_CHECK(read.ok(), "{}", read.to_string());
  return values;
}

template <typename T>
std::vector<T> golden_values(const std::string& name, const std::string& tensor) {
  return values_in<T>(golden_folder(name) + "/golden.safetensors", tensor);
}

}  // namespace

std::string golden_folder(const std::string& name) {
  return std::string(BRAID_SOURCE_DIR) + "/tests/goldens/" + name;
}

std::string fairytale_folder() { return std::string(BRAID_SOURCE_DIR) + "/models/fairytale-moe"; }

std::unique_ptr<engine::Engine> open_engine(const std::string& folder,
                                            const start::EngineOptions& options,
                                            const std::string& override_json) {
  const model::ModelConfig config = model::load_config(folder, override_json).value();
  const model::CheckpointSource source(model::Checkpoint::open(folder).value(),
                                       config.quantization);
  return create(config, options, source);
}

std::unique_ptr<engine::Engine> open_dummy(const std::string& folder,
                                           const start::EngineOptions& options,
                                           const std::string& override_json) {
  return create(model::load_config(folder, override_json).value(), options, model::DummySource());
}

std::map<engine::RequestId, std::vector<int32_t>> run_to_end(engine::Engine& engine) {
  std::map<engine::RequestId, std::vector<int32_t>> tokens;
  while (!engine.idle()) {
    const std::vector<engine::TokenEvent> events = engine.step().value();
    for (const engine::TokenEvent& event : events) tokens[event.request].push_back(event.token);
  }
  return tokens;
}

std::vector<float> golden_floats(const std::string& name, const std::string& tensor) {
  return golden_values<float>(name, tensor);
}

std::vector<int32_t> golden_ids(const std::string& name, const std::string& tensor) {
  const std::vector<int64_t> wide = golden_values<int64_t>(name, tensor);
  return {wide.begin(), wide.end()};
}

std::vector<float> logits_in(const std::string& path) { return values_in<float>(path, "logits"); }

}  // namespace braid::testing
