#include "engine/service.h"

#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "model/config.h"
#include "model/dummy_source.h"
#include "start/resolve.h"

namespace braid::engine {
namespace {

using start::EngineOptions;

EngineOptions small_options(bool run_ahead) {
  EngineOptions options{
      .context_length = 256, .max_running = 4, .chunked_prefill_size = 16, .page_size = 4};
  options.run_ahead = run_ahead;
  options.num_blocks = 256;
  return options;
}

std::unique_ptr<Engine> small_engine(const EngineOptions& options) {
  const std::string folder = std::string(BRAID_SOURCE_DIR) + "/tests/goldens/glm4_moe";
  auto engine =
      std::move(start::create_engine(model::load_config(folder).value(), options)).value();
  EXPECT_TRUE(engine->load(model::DummySource(7, {})).ok());
  return engine;
}

Request request(int32_t index, int32_t max_tokens = 24) {
  return {.prompt = std::vector<int32_t>(static_cast<size_t>(3 + 5 * index), 10 + index),
          .sampling = {.temperature = index % 2 == 0 ? 0.0f : 1.0f,
                       .seed = static_cast<uint64_t>(index)},
          .max_tokens = max_tokens};
}

// A service that runs on its thread, and everything that it has said.
class Running {
 public:
  explicit Running(Engine& engine, Service::Watch watch = nullptr)
      : service_(
            engine, [this](ServiceEvents events) { take(std::move(events)); }, std::move(watch)),
        thread_([this] { ended_ = service_.run(); }) {}
  ~Running() { EXPECT_TRUE(stop().ok() || !failure_.ok()); }

  Service& service() { return service_; }
  Status stop() {
    service_.stop();
    if (thread_.joinable()) thread_.join();
    return ended_;
  }

  // Waits until `holds` of what was said so far.
  template <typename Condition>
  bool wait(Condition holds) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(60), [&] { return holds(); });
  }
  bool has_ended(RequestKey key) const {
    const auto found = events_.find(key);
    if (found == events_.end()) return false;
    const ServiceEvent& last = found->second.back();
    return last.event.finished || !last.refusal.ok();
  }
  // All of these only inside wait(), or after stop().
  size_t count(RequestKey key) const { return events_.contains(key) ? events_.at(key).size() : 0; }
  const std::vector<ServiceEvent>& events(RequestKey key) { return events_[key]; }
  std::vector<int32_t> tokens(RequestKey key) {
    std::vector<int32_t> tokens;
    for (const ServiceEvent& said : events_[key]) {
      if (said.event.token != kNoToken) tokens.push_back(said.event.token);
    }
    return tokens;
  }
  const EngineStats& stats() const { return stats_; }
  const Status& failure() const { return failure_; }

 private:
  void take(ServiceEvents events) {
    const std::lock_guard lock(mutex_);
    for (ServiceEvent& event : events.events) events_[event.key].push_back(std::move(event));
    stats_ = events.stats;
    failure_ = events.failure;
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<RequestKey, std::vector<ServiceEvent>> events_;
  EngineStats stats_;
  Status failure_;
  Status ended_;
  Service service_;
  std::thread thread_;
};

class ServiceTest : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Loops, ServiceTest, testing::Bool());

TEST_P(ServiceTest, GivesTheTokensOfTheEngineAlone) {
  constexpr int32_t kRequests = 8;
  std::map<RequestId, std::vector<int32_t>> alone;
  for (int32_t i = 0; i < kRequests; ++i) {
    const auto engine = small_engine(small_options(GetParam()));
    ASSERT_TRUE(engine->submit(request(i)).ok());
    while (!engine->idle()) {
      for (const TokenEvent& event : engine->step().value()) alone[i].push_back(event.token);
    }
  }
  const auto engine = small_engine(small_options(GetParam()));
  Running running(*engine);
  std::vector<RequestKey> keys;
  for (int32_t i = 0; i < kRequests; ++i) keys.push_back(running.service().submit(request(i)));
  ASSERT_TRUE(running.wait([&] {
    return std::all_of(keys.begin(), keys.end(), [&](auto key) { return running.has_ended(key); });
  }));
  EXPECT_TRUE(running.stop().ok());
  for (int32_t i = 0; i < kRequests; ++i) {
    const RequestKey key = keys[static_cast<size_t>(i)];
    EXPECT_EQ(running.tokens(key), alone[i]) << "request " << i;
    EXPECT_EQ(running.events(key).front().event.token, kNoToken);
    EXPECT_EQ(running.events(key).back().event.finished, FinishReason::length);
    EXPECT_NE(running.events(key).back().event.admitted.time_since_epoch().count(), 0);
  }
  EXPECT_EQ(running.stats().blocks_used, 0);
  EXPECT_EQ(running.stats().running + running.stats().waiting, 0);
  EXPECT_GE(running.stats().rows, kRequests * 24);
}

TEST_P(ServiceTest, RefusesByAnEvent) {
  const auto engine = small_engine(small_options(GetParam()));
  Running running(*engine);
  const RequestKey key = running.service().submit({.prompt = {1, 100000}, .max_tokens = 1});
  ASSERT_TRUE(running.wait([&] { return running.has_ended(key); }));
  EXPECT_TRUE(running.stop().ok());
  ASSERT_EQ(running.events(key).size(), 1u);
  EXPECT_EQ(running.events(key)[0].refusal.error().message(),
            "a token id is outside of the vocabulary");
}

// Whoever leaves, and whenever: the blocks are free without anybody else's step, and those who stay
// get their tokens.
TEST_P(ServiceTest, CancelledRequestsGiveTheirBlocksBack) {
  const auto engine = small_engine(small_options(GetParam()));
  Running running(*engine);
  std::mt19937_64 random(3);
  const RequestKey first = running.service().submit(request(1));
  ASSERT_TRUE(running.wait([&] { return running.has_ended(first); }));
  for (int round = 0; round < 40; ++round) {
    const RequestKey stays = running.service().submit(request(1));
    std::vector<RequestKey> leave;
    for (int i = 0; i < 3; ++i) leave.push_back(running.service().submit(request(i, 200)));
    const size_t events = random() % 8;
    ASSERT_TRUE(running.wait([&] { return running.count(leave[0]) >= events; }));
    for (const RequestKey key : leave) running.service().cancel(key);
    ASSERT_TRUE(running.wait([&] { return running.has_ended(stays); }));
    std::vector<int32_t> expected, got;
    ASSERT_TRUE(running.wait([&] {
      expected = running.tokens(first);
      got = running.tokens(stays);
      return running.stats().blocks_used == 0;
    }));
    ASSERT_EQ(got, expected);
  }
}

TEST_P(ServiceTest, TheLastOneToLeaveFreesItsBlocksWithinTwoSteps) {
  const auto engine = small_engine(small_options(GetParam()));
  Running running(*engine);
  const RequestKey key = running.service().submit(request(0, 200));
  ASSERT_TRUE(running.wait([&] { return running.count(key) > 5; }));
  std::atomic<int64_t> steps = 0;
  running.service().cancel(key);
  running.service().ask([&](Engine& asked) { steps = asked.steps(); });
  ASSERT_TRUE(running.wait([&] { return steps > 0 && running.stats().blocks_used == 0; }));
  EXPECT_TRUE(running.stop().ok());
  EXPECT_EQ(running.stats().running, 0);
  EXPECT_LE(running.stats().steps, steps + 2);
}

TEST(ServiceFaultTest, AStepThatFailsEndsIt) {
  EngineOptions options = small_options(true);
  options.worker.fault = {.kind = flow::FaultKind::fail, .step = 3, .op = 5};
  const auto engine = small_engine(options);
  Running running(*engine);
  const RequestKey key = running.service().submit(request(0));
  ASSERT_TRUE(running.wait([&] { return !running.failure().ok(); }));
  EXPECT_FALSE(running.stop().ok());
  EXPECT_FALSE(running.has_ended(key));
}

TEST(ServiceFaultTest, ALostRankEndsAnIdleService) {
  const auto engine = small_engine(small_options(true));
  std::atomic<bool> lost = false;
  Running running(*engine, [&]() -> Status {
    if (!lost) return {};
    return Error(ErrorKind::fault, "rank 1 is gone");
  });
  const RequestKey key = running.service().submit(request(0));
  ASSERT_TRUE(running.wait([&] { return running.has_ended(key); }));
  lost = true;
  ASSERT_TRUE(running.wait([&] { return !running.failure().ok(); }));
  EXPECT_EQ(running.stop().error().message(), "rank 1 is gone");
}

TEST(ServiceFaultTest, StopsWithRequestsLeft) {
  const auto engine = small_engine(small_options(true));
  Running running(*engine);
  const RequestKey key = running.service().submit(request(0, 200));
  ASSERT_TRUE(running.wait([&] { return running.count(key) > 2; }));
  EXPECT_TRUE(running.stop().ok());
  EXPECT_EQ(running.service().step_seconds(), 0);
}

}  // namespace
}  // namespace braid::engine
