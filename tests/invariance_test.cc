// A request's logits are bitwise the same alone or batched, in chunks of any size, with any page
// size, and after preemption.
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "support/models.h"
#include "support/tap.h"

namespace braid::testing {
namespace {

using engine::Request;
using engine::RequestId;
using start::EngineOptions;

constexpr int kRequests = 10;
constexpr int kSchedules = 60;  // per model; four models
constexpr int32_t kContext = 64;

EngineOptions options_for(int32_t chunk, int32_t page_size, int32_t num_blocks, int32_t running) {
  EngineOptions options{.context_length = kContext,
                        .max_running = running,
                        .chunked_prefill_size = chunk,
                        .page_size = page_size,
                        .num_blocks = num_blocks};
  options.worker.model.probes.all_logits = true;
  return options;
}

// Requests of all sizes; half of them sample.
std::vector<Request> random_requests(int64_t vocab_size, std::mt19937_64& random) {
  std::vector<Request> requests;
  for (int i = 0; i < kRequests; ++i) {
    Request request{.prompt = {}, .max_tokens = 1 + static_cast<int32_t>(random() % 24)};
    const size_t length = i == 0 ? 1 : 1 + random() % 40;
    for (size_t t = 0; t < length; ++t) {
      request.prompt.push_back(static_cast<int32_t>(random() % static_cast<uint64_t>(vocab_size)));
    }
    if (i % 2 == 1) {
      request.sampling = {.temperature = 0.9f, .top_p = 0.95f, .top_k = 50, .seed = random()};
    }
    requests.push_back(request);
  }
  return requests;
}

struct Answer {
  std::vector<int32_t> tokens;
  std::vector<TokenRecord> records;
};

std::vector<Answer> answers_alone(const std::string& name, const std::vector<Request>& requests) {
  const auto engine = open_engine(golden_folder(name), options_for(kContext, 16, 4, 1));
  Tap tap(*engine);
  std::vector<Answer> answers;
  for (const Request& request : requests) {
    const RequestId id = engine->submit(request).value();
    answers.push_back({run_to_end(*engine)[id], tap.of(id)});
  }
  return answers;
}

void expect_same(const Answer& alone, const std::vector<int32_t>& tokens,
                 const std::vector<TokenRecord>& records, const std::string& where) {
  ASSERT_EQ(tokens, alone.tokens) << where;
  ASSERT_EQ(records.size(), alone.records.size()) << where;
  for (size_t position = 0; position < records.size(); ++position) {
    const std::vector<float>& got = records[position].logits;
    const std::vector<float>& expected = alone.records[position].logits;
    ASSERT_EQ(0, std::memcmp(got.data(), expected.data(), got.size() * sizeof(float)))
        << where << ", position " << position;
  }
}

// Some of the requests, coming in at random times, through a random engine.
int64_t run_schedule(const std::string& name, const std::vector<Request>& requests,
                     const std::vector<Answer>& alone, std::mt19937_64& random) {
  const std::array<int32_t, 4> chunks = {1, 7, 64, kContext * kRequests};
  const std::array<int32_t, 4> pages = {1, 3, 16, 64};
  const int32_t chunk = chunks[random() % chunks.size()];
  const int32_t page = pages[random() % pages.size()];
  // Room for one whole context, or a little more: several requests push each other out.
  const int32_t whole = (kContext + page - 1) / page;
  const auto blocks = whole + static_cast<int32_t>(random() % static_cast<uint64_t>(whole + 1));
  const auto engine =
      open_engine(golden_folder(name), options_for(chunk, page, blocks, 2 + random() % 6));
  std::vector<flow::Lease> leases;
  engine->keep_lease_log(&leases);
  Tap tap(*engine);
  std::map<RequestId, size_t> submitted;
  std::map<RequestId, std::vector<int32_t>> tokens;
  size_t left = 3 + random() % 6;
  const uint64_t pause = 1 + random() % 3;  // steps between arrivals, on average
  while (left > 0 || !engine->idle()) {
    if (left > 0 && (engine->idle() || random() % pause == 0)) {
      const size_t which = random() % requests.size();
      submitted[engine->submit(requests[which]).value()] = which;
      --left;
    }
    const std::vector<engine::TokenEvent> events = engine->step().value();
    for (const auto& event : events) tokens[event.request].push_back(event.token);
  }
  EXPECT_EQ(tap.mismatches(), 0);
  EXPECT_TRUE(flow::check_leases(leases).ok());
  for (const auto& [id, which] : submitted) {
    expect_same(
        alone[which], tokens[id], tap.of(id),
        fmt::format("{} request {} chunk {} page {} blocks {}", name, which, chunk, page, blocks));
  }
  return engine->preemptions();
}

class InvarianceTest : public ::testing::TestWithParam<std::string> {};

TEST_P(InvarianceTest, LogitsDependOnTheRequestAlone) {
  std::mt19937_64 random(20);
  const std::vector<Request> requests = random_requests(512, random);
  const std::vector<Answer> alone = answers_alone(GetParam(), requests);
  int64_t preemptions = 0;
  for (int i = 0; i < kSchedules && !HasFatalFailure(); ++i) {
    preemptions += run_schedule(GetParam(), requests, alone, random);
  }
  EXPECT_GT(preemptions, 20);  // the schedules do push requests out
  RecordProperty("preemptions", static_cast<int>(preemptions));
}

INSTANTIATE_TEST_SUITE_P(Models, InvarianceTest,
                         ::testing::Values("glm4_moe", "deepseek_v3", "mixtral", "qwen2"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace braid::testing
