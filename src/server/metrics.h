// What the server counts, in Prometheus' form and under vLLM's names: "braid:num_requests_running".
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/log.h"
#include "engine/engine.h"

namespace braid::server {

// When what happened to one answer.
struct AnswerTimes {
  Clock::time_point arrived;   // its request was read
  Clock::time_point admitted;  // its first row was planned
  Clock::time_point first;     // its first token came,
  Clock::time_point last;      // and the last one so far
};

// How answers end, as "finished_reason" says it.
enum class AnswerEnd { stop, length, abort, error };

// Only on one thread.
class Metrics {
 public:
  Metrics(const std::string& prefix, const std::string& model);
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // After a step, or between two.
  void take(const engine::EngineStats& stats);
  // The first token of an answer, and one of the later ones; `prompt` tokens, where they count.
  void first_token(const AnswerTimes& times, int64_t prompt);
  void next_token(double seconds);
  void ended(const AnswerTimes& times, AnswerEnd end, int64_t prompt, int64_t tokens);

  std::string text() const;

  // Totals so far, for the status line.
  const engine::EngineStats& stats() const { return stats_; }
  int64_t prompt_tokens() const { return prompt_tokens_; }
  int64_t generated_tokens() const { return generated_tokens_; }

 private:
  struct Families;
  engine::EngineStats stats_;
  int64_t prompt_tokens_ = 0;
  int64_t generated_tokens_ = 0;
  std::unique_ptr<Families> families_;
};

}  // namespace braid::server
