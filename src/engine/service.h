// Service: an engine that runs on a thread of its own, and takes orders from others.
//
//   others   submit, cancel → mailbox ─┐                       ┌→ the sink: events of the step
//   its own                            └ swapped between steps │
//                                        step n ───────────────┘ step n + 1 …
//
// Orders count from the next step on. Nothing presumes when the results of a step come: with
// either loop a step's events are handed on as one batch.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <unordered_map>
#include <variant>

#include "engine/engine.h"

namespace braid::engine {

// The name of a request from its submission on, before the engine has seen it.
using RequestKey = int64_t;

// What has become of a request. The first event says that it was accepted, or why not; the last one
// has `finished`. A cancelled one has no more events.
struct ServiceEvent {
  RequestKey key = 0;
  TokenEvent event;  // kNoToken where it was accepted only
  Status refusal;
};

// All that has happened in a step, or between two.
struct ServiceEvents {
  std::vector<ServiceEvent> events;
  EngineStats stats;  // after it
  Status failure;     // no step runs any more: all requests have ended with this error
};

class Service {
 public:
  // On the engine's thread; must be quick.
  using Sink = std::function<void(ServiceEvents)>;
  // Tells whether all ranks are there; asked where no step runs, several times a second.
  using Watch = std::function<Status()>;

  Service(Engine& engine, Sink sink, Watch watch = nullptr);
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  // From any thread. The request may still be refused, by an event.
  RequestKey submit(Request request);
  // Several at once: all are accepted or refused between the same two steps. The key of the first;
  // the others' follow it.
  RequestKey submit(std::vector<Request> requests);
  // Its KV blocks are free when the steps in flight are done. One that has ended is left alone.
  void cancel(RequestKey key);
  // Runs between two steps.
  using Question = std::function<void(Engine&)>;
  void ask(Question question);
  // run() returns after the step that it is in; requests that are left have no more events.
  void stop();

  // Runs the engine on the calling thread until stop(). The error of a step, or of a lost rank: the
  // sink has got it, too.
  Status run();

  // How long the step that runs now has been running; 0: none runs.
  double step_seconds() const;

 private:
  struct Submission {
    RequestKey key;
    Request request;
  };
  struct Cancellation {
    RequestKey key;
  };
  using Order = std::variant<Submission, Cancellation, Question>;

  void post(std::vector<Order> orders);
  // The orders that have come; waits for some, or for a while, where the engine has nothing to do.
  std::vector<Order> take_orders();
  void obey(Order order, std::vector<ServiceEvent>& events);
  void obey(Submission submission, std::vector<ServiceEvent>& events);
  Status run_step(std::vector<ServiceEvent>& events);

  Engine& engine_;
  Sink sink_;
  Watch watch_;
  std::atomic<RequestKey> next_key_ = 1;
  std::atomic<int64_t> step_start_ = 0;  // nanoseconds of the steady clock; 0: none runs

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Order> orders_;  // guarded by mutex_
  bool stopped_ = false;       // guarded by mutex_

  // Of requests that have not ended; the engine's thread alone.
  std::unordered_map<RequestKey, RequestId> ids_;
  std::unordered_map<RequestId, RequestKey> keys_;
};

}  // namespace braid::engine
