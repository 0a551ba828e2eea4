#include "lab/paired_engines.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <numeric>
#include <random>

namespace braid::lab {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// One run of `requests` to their end, added to `times`.
Status run_once(engine::Engine& engine, std::span<const engine::Request> requests,
                EngineTimes& times) {
  const Clock::time_point start = Clock::now();
  for (const engine::Request& request : requests) TRY(engine.submit(request));
  size_t waiting = requests.size();
  std::vector<engine::RequestId> started;
  while (waiting > 0 && !engine.idle()) {
    for (const engine::TokenEvent& event : TRY(engine.step())) {
      if (std::find(started.begin(), started.end(), event.request) != started.end()) continue;
      started.push_back(event.request);
      --waiting;
    }
  }
  times.prefill.push_back(seconds_since(start));
  const Clock::time_point decode = Clock::now();
  int64_t steps = 0;
  for (; !engine.idle(); ++steps) TRY(engine.step());
  if (steps > 0) times.decode.push_back(seconds_since(decode) / static_cast<double>(steps));
  return {};
}

}  // namespace

Result<std::unique_ptr<PairedEngines>> PairedEngines::create(const model::ModelConfig& config,
                                                             std::vector<EngineVariant> variants,
                                                             const model::TensorSource& source) {
  auto pairs = std::make_unique<PairedEngines>();
  for (const EngineVariant& variant : variants) {
    pairs->engines_.push_back(TRY(start::create_engine(config, variant.options)));
    TRY(pairs->engines_.back()->load(source));
  }
  pairs->variants_ = std::move(variants);
  return pairs;
}

Result<std::vector<EngineTimes>> PairedEngines::time(std::span<const engine::Request> requests,
                                                     int64_t rounds, uint64_t seed) {
  EngineTimes warm_up;
  for (const auto& engine : engines_) TRY(run_once(*engine, requests, warm_up));
  std::vector<EngineTimes> times(engines_.size());
  std::vector<size_t> order(engines_.size());
  std::iota(order.begin(), order.end(), 0);
  std::mt19937_64 random(seed);
  for (int64_t round = 0; round < rounds; ++round) {
    std::shuffle(order.begin(), order.end(), random);
    for (const size_t index : order) TRY(run_once(*engines_[index], requests, times[index]));
  }
  return times;
}

Result<Logits> logits_under(const model::ModelConfig& config, start::EngineOptions options,
                            const model::TensorSource& source, std::span<const int32_t> ids) {
  options.worker.model.probes.all_logits = true;
  const auto engine = TRY(start::create_engine(config, options));
  TRY(engine->load(source));
  return evaluate_logits(*engine, ids);
}

double relative_error(const Logits& a, const Logits& b) {
  BRAID_CHECK(a.values.size() == b.values.size(), "({} and {} logits)", a.values.size(),
              b.values.size());
  const bool equal =
      std::memcmp(a.values.data(), b.values.data(), a.values.size() * sizeof(float)) == 0;
  if (equal) return 0;
  double error = 0, norm = 0;
  for (size_t i = 0; i < a.values.size(); ++i) {
    const double difference = double{a.values[i]} - double{b.values[i]};
    error += difference * difference;
    norm += double{b.values[i]} * double{b.values[i]};
  }
  return std::sqrt(error / norm);
}

}  // namespace braid::lab
