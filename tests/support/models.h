// The models that tests run: the bundled one and the goldens.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "start/resolve.h"

namespace braid::testing {

std::string golden_folder(const std::string& name);  // tests/goldens/NAME
std::string fairytale_folder();                      // models/fairytale-moe

// An engine on a model's folder with its weights read; fails the program on an error.
// `override_json` as in --json-model-override-args.
std::unique_ptr<engine::Engine> open_engine(const std::string& folder,
                                            const start::EngineOptions& options,
                                            const std::string& override_json = {});

// The same with dummy weights.
std::unique_ptr<engine::Engine> open_dummy(const std::string& folder,
                                           const start::EngineOptions& options,
                                           const std::string& override_json = {});

// Runs the engine until it is idle; the tokens of every request.
std::map<engine::RequestId, std::vector<int32_t>> run_to_end(engine::Engine& engine);

// A tensor of a golden.safetensors.
std::vector<float> golden_floats(const std::string& name, const std::string& tensor);
std::vector<int32_t> golden_ids(const std::string& name, const std::string& tensor);

// What `eval logits --output PATH` has written.
std::vector<float> logits_in(const std::string& path);

}  // namespace braid::testing
