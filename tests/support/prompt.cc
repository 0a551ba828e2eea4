#include "support/prompt.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

namespace braid::testing {

start::EngineOptions prompt_options(size_t tokens) {
  const auto size = static_cast<int32_t>(tokens);
  start::EngineOptions options{
      .context_length = size + 1, .max_running = 1, .chunked_prefill_size = size, .page_size = 16};
  options.worker.model.probes = {.all_logits = true, .hidden = true, .routing = true};
  return options;
}

std::vector<TokenRecord> run_prompt(engine::Engine& engine, const std::vector<int32_t>& prompt) {
  Tap tap(engine);
  const auto request = engine.submit({.prompt = prompt, .max_tokens = 1}).value();
  run_to_end(engine);
  engine.set_observer(nullptr);
  BRAID_CHECK(tap.of(request).size() == prompt.size(), "(a record for every token)");
  return tap.of(request);
}

void force_experts(engine::Engine& engine, const std::string& golden) {
  const model::StateBuffers& state = engine.worker().model().state();
  for (size_t layer = 0; layer < state.forced_ids.size(); ++layer) {
    if (state.forced_ids[layer] == model::kAbsent) continue;
    const std::vector<int32_t> ids = golden_ids(golden, fmt::format("experts.{}", layer));
    const flow::Resident& forced = engine.worker().model().residents()[state.forced_ids[layer]];
    auto* rows = reinterpret_cast<int32_t*>(engine.worker().data(state.forced_ids[layer]));
    std::fill_n(rows, forced.rows * forced.cols, -1);  // rows of -1 are not forced
    std::copy(ids.begin(), ids.end(), rows);
  }
}

std::vector<float> logits_of(const std::vector<TokenRecord>& records) {
  std::vector<float> all;
  for (const TokenRecord& record : records) {
    all.insert(all.end(), record.logits.begin(), record.logits.end());
  }
  return all;
}

std::vector<float> logits_on_golden(const std::string& folder, const std::string& golden,
                                    const std::string& override_json) {
  const std::vector<int32_t> prompt = golden_ids(golden, "input_ids");
  const auto engine = open_engine(folder, prompt_options(prompt.size()), override_json);
  return logits_of(run_prompt(*engine, prompt));
}

bool same_bytes(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

float largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  BRAID_CHECK(a.size() == b.size(), "({} and {} values)", a.size(), b.size());
  float most = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const float difference = std::abs(a[i] - b[i]);
    if (std::isnan(difference)) return difference;
    most = std::max(most, difference);
  }
  return most;
}

double relative_error(std::span<const float> got, std::span<const float> expected) {
  BRAID_CHECK(got.size() == expected.size(), "({} and {} values)", got.size(), expected.size());
  double error = 0;
  double norm = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    error += std::pow(double{got[i]} - double{expected[i]}, 2);
    norm += std::pow(double{expected[i]}, 2);
  }
  return std::sqrt(error / norm);
}

}  // namespace braid::testing
