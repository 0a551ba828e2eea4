#include "server/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <array>

namespace braid::server {
namespace {

using Buckets = prometheus::Histogram::BucketBoundaries;

const Buckets kFirstToken = {0.001, 0.005, 0.01, 0.02,  0.04,  0.06,  0.08, 0.1,
                             0.25,  0.5,   0.75, 1.0,   2.5,   5.0,   7.5,  10.0,
                             20.0,  40.0,  80.0, 160.0, 640.0, 2560.0};
const Buckets kNextToken = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1,  0.15, 0.2,  0.3,
                            0.4,   0.5,    0.75,  1.0,  2.5,   5.0,  7.5,   10.0, 20.0, 40.0, 80.0};
const Buckets kRequest = {0.3,  0.5,  0.8,  1.0,  1.5,   2.0,   2.5,   5.0,   10.0,   15.0,  20.0,
                          30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0};
const Buckets kTokens = {1,   2,   5,    10,   20,   50,    100,   200,
                         500, 1e3, 2000, 5000, 10e3, 20000, 50000, 100e3};
const Buckets kRows = {1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384};

constexpr std::array kEnds = {"stop", "length", "abort", "error"};

double seconds(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

}  // namespace

struct Metrics::Families {
  Families(std::string prefix, const std::string& model)
      : prefix_(std::move(prefix)), labels_{{"model_name", model}} {}

  prometheus::Gauge& gauge(const char* name, const char* help) {
    return prometheus::BuildGauge().Name(prefix_ + name).Help(help).Register(registry).Add(labels_);
  }
  prometheus::Family<prometheus::Counter>& counters(const char* name, const char* help) {
    return prometheus::BuildCounter().Name(prefix_ + name).Help(help).Register(registry);
  }
  prometheus::Counter& counter(const char* name, const char* help) {
    return counters(name, help).Add(labels_);
  }
  prometheus::Histogram& histogram(const char* name, const char* help, const Buckets& buckets) {
    return prometheus::BuildHistogram()
        .Name(prefix_ + name)
        .Help(help)
        .Register(registry)
        .Add(labels_, buckets);
  }
  prometheus::Counter& end(const char* reason) {
    prometheus::Labels labels = labels_;
    labels.emplace("finished_reason", reason);
    return ends.Add(labels);
  }

  prometheus::Registry registry;
  std::string prefix_;
  prometheus::Labels labels_;

  prometheus::Gauge& running = gauge("num_requests_running", "answers with rows in steps");
  prometheus::Gauge& waiting = gauge("num_requests_waiting", "answers that wait for their first");
  prometheus::Gauge& usage = gauge("kv_cache_usage_perc", "KV blocks in use; 1 is all of them");
  prometheus::Counter& prompt = counter("prompt_tokens_total", "tokens of prompts");
  prometheus::Counter& generated = counter("generation_tokens_total", "tokens of answers");
  prometheus::Counter& preemptions =
      counter("num_preemptions_total", "answers pushed out of the KV cache for a while");
  prometheus::Counter& recomputed =
      counter("recomputed_tokens_total", "tokens computed once more after that");
  prometheus::Counter& padding =
      counter("padding_rows_total", "rows computed because steps have few sizes");
  prometheus::Family<prometheus::Counter>& ends =
      counters("request_success_total", "answers by how they have ended");
  std::array<prometheus::Counter*, 4> by_end = {&end(kEnds[0]), &end(kEnds[1]), &end(kEnds[2]),
                                                &end(kEnds[3])};
  prometheus::Histogram& first_token = histogram(
      "time_to_first_token_seconds", "from a request to an answer's first token", kFirstToken);
  prometheus::Histogram& next_token = histogram(
      "inter_token_latency_seconds", "from one token of an answer to the next", kNextToken);
  prometheus::Histogram& end_to_end = histogram(
      "e2e_request_latency_seconds", "from a request to an answer's last token", kRequest);
  prometheus::Histogram& queue = histogram("request_queue_time_seconds",
                                           "from a request to its first row in a step", kRequest);
  prometheus::Histogram& prefill =
      histogram("request_prefill_time_seconds", "from there to an answer's first token", kRequest);
  prometheus::Histogram& decode =
      histogram("request_decode_time_seconds", "from the first token to the last", kRequest);
  prometheus::Histogram& inference =
      histogram("request_inference_time_seconds", "from the first row to the last token", kRequest);
  prometheus::Histogram& prompt_tokens =
      histogram("request_prompt_tokens", "tokens of an answer's prompt", kTokens);
  prometheus::Histogram& answer_tokens =
      histogram("request_generation_tokens", "tokens of an answer", kTokens);
  prometheus::Histogram& rows =
      histogram("iteration_tokens_total", "tokens computed in a step", kRows);
};

Metrics::Metrics(const std::string& prefix, const std::string& model)
    : families_(std::make_unique<Families>(prefix, model)) {}
Metrics::~Metrics() = default;

void Metrics::take(const engine::EngineStats& stats) {
  Families& to = *families_;
  to.running.Set(static_cast<double>(stats.running));
  to.waiting.Set(static_cast<double>(stats.waiting));
  to.usage.Set(stats.blocks == 0
                   ? 0
                   : static_cast<double>(stats.blocks_used) / static_cast<double>(stats.blocks));
  to.preemptions.Increment(static_cast<double>(stats.preemptions - stats_.preemptions));
  to.recomputed.Increment(static_cast<double>(stats.recomputed - stats_.recomputed));
  to.padding.Increment(static_cast<double>(stats.padding_rows - stats_.padding_rows));
  if (stats.steps > stats_.steps) to.rows.Observe(static_cast<double>(stats.rows - stats_.rows));
  stats_ = stats;
}

void Metrics::first_token(const AnswerTimes& times, int64_t prompt) {
  Families& to = *families_;
  to.first_token.Observe(seconds(times.arrived, times.first));
  to.queue.Observe(seconds(times.arrived, times.admitted));
  to.prefill.Observe(seconds(times.admitted, times.first));
  to.prompt.Increment(static_cast<double>(prompt));
  to.generated.Increment();
  prompt_tokens_ += prompt;
  ++generated_tokens_;
}

void Metrics::next_token(double seconds) {
  families_->next_token.Observe(seconds);
  families_->generated.Increment();
  ++generated_tokens_;
}

void Metrics::ended(const AnswerTimes& times, AnswerEnd end, int64_t prompt, int64_t tokens) {
  Families& to = *families_;
  to.by_end[static_cast<size_t>(end)]->Increment();
  if (end == AnswerEnd::abort || end == AnswerEnd::error) return;
  to.end_to_end.Observe(seconds(times.arrived, times.last));
  to.decode.Observe(seconds(times.first, times.last));
  to.inference.Observe(seconds(times.admitted, times.last));
  to.prompt_tokens.Observe(static_cast<double>(prompt));
  to.answer_tokens.Observe(static_cast<double>(tokens));
}

std::string Metrics::text() const {
  return prometheus::TextSerializer().Serialize(families_->registry.Collect());
}

}  // namespace braid::server
