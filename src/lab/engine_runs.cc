#include "lab/engine_runs.h"

#include <chrono>
#include <random>

#include "base/log.h"

namespace braid::lab {
namespace {

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

engine::Request random_request(int64_t vocab_size, int64_t input_len, int64_t output_len,
                               uint64_t seed) {
  std::mt19937_64 random(seed);
  engine::Request request{.max_tokens = static_cast<int32_t>(output_len)};
  for (int64_t i = 0; i < input_len; ++i) {
    request.prompt.push_back(static_cast<int32_t>(random() % static_cast<uint64_t>(vocab_size)));
  }
  return request;
}

std::vector<engine::Request> random_requests(int64_t vocab_size, const RequestSizes& sizes) {
  std::vector<engine::Request> requests;
  for (int64_t i = 0; i < sizes.count; ++i) {
    requests.push_back(random_request(vocab_size, sizes.input_len, sizes.output_len,
                                      sizes.seed + static_cast<uint64_t>(i)));
    requests.back().sampling = sizes.like.sampling;
    requests.back().logprobs = sizes.like.logprobs;
  }
  return requests;
}

Result<Throughput> measure_throughput(engine::Engine& engine, const RequestSizes& sizes,
                                      const std::function<bool(const Throughput&)>& goes_on) {
  std::vector<engine::Request> requests = random_requests(engine.config().vocab_size, sizes);
  Throughput result;
  const auto start = Clock::now();
  for (engine::Request& request : requests) TRY(engine.submit(std::move(request)));
  while (!engine.idle()) {
    for (const engine::TokenEvent& event : TRY(engine.step())) {
      ++result.output_tokens;
      if (event.finished) ++result.requests;
    }
    result.seconds = seconds_since(start);
    result.input_tokens = result.requests * sizes.input_len;
    if (goes_on && !goes_on(result)) break;
  }
  return result;
}

Status measure_latency(engine::Engine& engine, const RequestSizes& sizes, Latencies& latencies) {
  std::vector<engine::Request> requests = random_requests(engine.config().vocab_size, sizes);
  const auto start = Clock::now();
  for (engine::Request& request : requests) TRY(engine.submit(std::move(request)));
  std::vector<bool> started(requests.size());
  std::optional<engine::RequestId> first_id;
  int64_t waiting = sizes.count;
  while (!engine.idle()) {
    const auto step = Clock::now();
    const bool decoding = waiting == 0;
    for (const engine::TokenEvent& event : TRY(engine.step())) {
      if (!first_id) first_id = event.request;
      auto has_started = started.begin() + (event.request - *first_id);
      if (!*has_started) --waiting;
      *has_started = true;
    }
    if (decoding) latencies.decode.push_back(seconds_since(step));
    if (!decoding && waiting == 0) latencies.prefill.push_back(seconds_since(start));
  }
  return {};
}

}  // namespace braid::lab
