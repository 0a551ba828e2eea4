// Made-up requests, and how long an engine takes for them.
#pragma once

#include <functional>
#include "engine/engine.h"

namespace braid::lab {

// A request of `input_len` random ids that generates exactly `output_len` tokens.
engine::Request random_request(int64_t vocab_size, int64_t input_len, int64_t output_len,
                               uint64_t seed);

// So many random requests of one length.
struct RequestSizes {
  int64_t count = 1;
  int64_t input_len = 1;
  int64_t output_len = 1;
  uint64_t seed = 0;          // of the first one; the next one has the next seed
  engine::Request like = {};  // whose sampling and log probabilities all of them have
};
std::vector<engine::Request> random_requests(int64_t vocab_size, const RequestSizes& sizes);

struct Throughput {
  int64_t requests = 0;
  int64_t input_tokens = 0;
  int64_t output_tokens = 0;
  double seconds = 0;

  double rate(int64_t count) const { return static_cast<double>(count) / seconds; }
};

// Many requests at once, all there from the start.
// `goes_on` is told after each step how far it is; false ends it early.
Result<Throughput> measure_throughput(engine::Engine& engine, const RequestSizes& sizes,
                                      const std::function<bool(const Throughput&)>& goes_on = {});

struct Latencies {
  std::vector<double> prefill;  // seconds until the last request has its first token, one a run
  std::vector<double> decode;   // seconds of each later step: one token of every request
};

// One batch from its submission to its end, added to `latencies`.
Status measure_latency(engine::Engine& engine, const RequestSizes& sizes, Latencies& latencies);

}  // namespace braid::lab
