// Generations: every request for answers that is being answered, between its exchange and the
// engine's service.
#pragma once

#include <unordered_map>
#include <unordered_set>

#include "engine/service.h"
#include "server/answer_form.h"
#include "server/metrics.h"

namespace braid::server {

class Generation;

// Only on the server's thread.
class Generations {
 public:
  Generations(engine::Service& service, Metrics& metrics) : service_(service), metrics_(metrics) {}
  ~Generations();
  Generations(const Generations&) = delete;
  Generations& operator=(const Generations&) = delete;

  // Answers `request`, which came by `exchange` at `arrived`. A client that goes away takes its
  // requests out of the engine.
  void start(std::shared_ptr<Exchange> exchange, GenerationRequest request,
             std::shared_ptr<const ServedModel> model, Clock::time_point arrived);

  // What has happened in a step.
  void take(const engine::ServiceEvents& events);
  // Ends all of them, in the middle of their answers.
  void fail(const ApiError& error);
  // Streams in which nothing has been said for long get a comment, so that nobody on the way takes
  // them for dead.
  void keep_alive(Clock::time_point now);

  size_t size() const { return running_.size(); }
  // Is called when there are none left.
  void when_empty(std::function<void()> then);

 private:
  friend class Generation;
  struct Place {
    std::shared_ptr<Generation> generation;
    size_t choice = 0;
  };
  // The key of the first; the others' follow it.
  engine::RequestKey submit(std::vector<engine::Request> choices,
                            const std::shared_ptr<Generation>& generation);
  void cancel(engine::RequestKey key);
  void forget(engine::RequestKey key) { places_.erase(key); }
  void ended(const std::shared_ptr<Generation>& generation);

  engine::Service& service_;
  Metrics& metrics_;
  std::unordered_map<engine::RequestKey, Place> places_;
  std::unordered_set<std::shared_ptr<Generation>> running_;
  std::function<void()> when_empty_;
};

// "chatcmpl-" or "cmpl-", and digits that nobody can foresee.
std::string new_answer_id(bool chat);

}  // namespace braid::server
