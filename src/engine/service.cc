#include "engine/service.h"

#include "base/log.h"

namespace braid::engine {
namespace {

// Between two looks at ranks that have nothing to do.
constexpr std::chrono::milliseconds kWatchInterval{100};

int64_t now_ns() { return Clock::now().time_since_epoch() / std::chrono::nanoseconds(1); }

}  // namespace

Service::Service(Engine& engine, Sink sink, Watch watch)
    : engine_(engine), sink_(std::move(sink)), watch_(std::move(watch)) {}

void Service::post(std::vector<Order> orders) {
  {
    const std::lock_guard lock(mutex_);
    for (Order& order : orders) orders_.push_back(std::move(order));
  }
  changed_.notify_one();
}

RequestKey Service::submit(Request request) {
  std::vector<Request> one;
  one.push_back(std::move(request));
  return submit(std::move(one));
}

RequestKey Service::submit(std::vector<Request> requests) {
  const RequestKey first = next_key_.fetch_add(std::ssize(requests));
  std::vector<Order> orders;
  for (Request& request : requests) {
    orders.push_back(Submission{first + std::ssize(orders), std::move(request)});
  }
  post(std::move(orders));
  return first;
}

void Service::cancel(RequestKey key) { post({Cancellation{key}}); }

void Service::ask(Question question) { post({std::move(question)}); }

void Service::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  changed_.notify_one();
}

double Service::step_seconds() const {
  const int64_t start = step_start_;
  return start == 0 ? 0 : 1e-9 * static_cast<double>(now_ns() - start);
}

std::vector<Service::Order> Service::take_orders() {
  std::unique_lock lock(mutex_);
  if (engine_.idle()) {
    const auto called = [this] { return stopped_ || !orders_.empty(); };
    if (watch_) {
      changed_.wait_for(lock, kWatchInterval, called);
    } else {
      changed_.wait(lock, called);
    }
  }
  return std::exchange(orders_, {});
}

Status Service::run() {
  while (true) {
    std::vector<Order> orders = take_orders();
    {
      const std::lock_guard lock(mutex_);
      if (stopped_) return {};
    }
    const bool called = !orders.empty();
    std::vector<ServiceEvent> events;
    for (Order& order : orders) obey(std::move(order), events);
    const bool idle = engine_.idle();
    const Status done = idle && watch_ ? watch_() : run_step(events);
    if (done.ok() && idle && !called) continue;
    sink_({.events = std::move(events), .stats = engine_.stats(), .failure = done});
    TRY(done);
  }
}

void Service::obey(Order order, std::vector<ServiceEvent>& events) {
  if (auto* submission = std::get_if<Submission>(&order)) {
    obey(std::move(*submission), events);
  } else if (const auto* cancellation = std::get_if<Cancellation>(&order)) {
    const auto found = ids_.find(cancellation->key);
    if (found == ids_.end()) return;
    engine_.cancel(found->second);
    keys_.erase(found->second);
    ids_.erase(found);
  } else {
    std::get<Question>(order)(engine_);
  }
}

void Service::obey(Submission submission, std::vector<ServiceEvent>& events) {
  const Result<RequestId> id = engine_.submit(std::move(submission.request));
  events.push_back({.key = submission.key, .event = {}, .refusal = id.status()});
  if (!id.ok()) return;
  ids_.emplace(submission.key, *id);
  keys_.emplace(*id, submission.key);
}

Status Service::run_step(std::vector<ServiceEvent>& events) {
  if (engine_.idle()) return {};
  step_start_ = now_ns();
  Result<std::vector<TokenEvent>> step = engine_.step();
  step_start_ = 0;
  TRY(step.status());
  for (const TokenEvent& event : *step) {
    const auto found = keys_.find(event.request);
    if (found == keys_.end()) continue;  // cancelled
    events.push_back({.key = found->second, .event = event, .refusal = {}});
    if (!event.finished) continue;
    ids_.erase(found->second);
    keys_.erase(found);
  }
  return {};
}

}  // namespace braid::engine
