// Ranks that are processes: what they compute is what threads compute.
#include "ranks/process_ranks.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include "lab/evaluate.h"
#include "lab/verification.h"
#include "passes/count_heat.h"
#include "passes/dual_stream.h"
#include "passes/quantize_dispatch.h"
#include "support/process_ranks_util.h"

namespace braid {
namespace {

using testing::answers_of;
using testing::on_processes;
using testing::on_threads;
using testing::small_options;

class ProcessRanksTest : public ::testing::TestWithParam<layout::LayoutOptions> {};

TEST_P(ProcessRanksTest, AnswerAsThreadsDo) {
  for (const Format dtype : {Format::f32, Format::bf16}) {
    start::EngineOptions options = small_options(GetParam());
    options.worker.model.dtype = dtype;
    const auto threads = on_threads(options);
    ASSERT_TRUE(threads.ok()) << threads.status().to_string();
    EXPECT_GT(threads->size(), 40u);
    const auto processes = on_processes(options);
    ASSERT_TRUE(processes.ok()) << processes.status().to_string();
    EXPECT_EQ(*processes, *threads);
    EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);  // no process is left over
  }
}

TEST_P(ProcessRanksTest, LogitsAreBitwiseThoseOfThreads) {
  start::EngineOptions options = small_options(GetParam());
  options.worker.model.dtype = Format::bf16;
  options.worker.model.probes = {.all_logits = true};
  const auto logits = [](engine::Engine& engine) -> Result<std::string> {
    const std::vector<int32_t> ids = {3, 5, 1, 500, 77, 8, 250, 9, 4};
    const lab::Logits found = TRY(lab::evaluate_logits(engine, ids));
    const auto bytes = std::as_bytes(std::span(found.values));
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  };
  const auto threads = on_threads(options, logits), processes = on_processes(options, logits);
  ASSERT_TRUE(threads.ok() && processes.ok()) << processes.status().to_string();
  EXPECT_EQ(threads->size(), 9 * 512 * sizeof(float));
  EXPECT_TRUE(*processes == *threads);
}

// Logits, and the experts of every token, as text.
std::string text_of(const lab::Logits& logits) {
  std::string text;
  for (const float value : logits.values) text += fmt::format("{} ", value);
  for (const auto& [layer, routing] : logits.routing) {
    text += fmt::format("\nlayer {}:", layer);
    for (const int64_t expert : routing.experts) text += fmt::format(" {}", expert);
    for (const float weight : routing.weights) text += fmt::format(" {}", weight);
  }
  return text;
}

// Two prompts of different lengths, so that every group has rows, and one that comes in parts.
const std::vector<int32_t> kPrompt = {3, 5, 1, 500, 77, 8, 250, 9, 4, 3, 2, 1, 90, 91, 92, 93, 94};

// visit(rows) for the probe of every layer's expert ids.
Status for_each_probe(engine::Engine& engine,
                      const std::function<Status(const ranks::ResidentRows&)>& visit) {
  const model::DecoderModel& model = engine.worker().model();
  for (const int32_t probe : model.state().expert_ids) {
    if (probe == model::kAbsent) continue;
    TRY(visit({.resident = probe, .count = model.residents()[probe].rows}));
  }
  return {};
}

// Rows that no step computes hold whatever was in the memory, until this.
Status clear_probes(engine::Engine& engine) {
  const flow::Residents& residents = engine.worker().model().residents();
  return for_each_probe(engine, [&](const ranks::ResidentRows& rows) {
    const auto bytes = static_cast<size_t>(residents[rows.resident].bytes());
    return engine.ranks()
        .ask(engine.ranks().all(), ranks::RankQuery::write(rows, std::string(bytes, '\0')))
        .status();
  });
}

// All ranks of a group chose the same experts.
Status check_alike(engine::Engine& engine) {
  ranks::Ranks& ranks = engine.ranks();
  return for_each_probe(engine, [&](const ranks::ResidentRows& rows) -> Status {
    const std::vector<std::string> chosen =
        TRY(ranks.ask(ranks.all(), ranks::RankQuery::read(rows)));
    for (int32_t rank = 0; rank < ranks.size(); ++rank) {
      const int32_t leader = ranks.leader_of(ranks.group_of(rank));
      if (chosen[static_cast<size_t>(rank)] == chosen[static_cast<size_t>(leader)]) continue;
      return Error(ErrorKind::internal, "a rank chose other experts").with("rank", rank);
    }
    return {};
  });
}

TEST_P(ProcessRanksTest, RoutingIsProbedAndForcedInAllOfThem) {
  start::EngineOptions options = small_options(GetParam());
  options.worker.model.probes = {.all_logits = true, .routing = true};
  const auto routed = [](engine::Engine& engine) -> Result<std::string> {
    TRY(engine.submit({.prompt = {7, 8, 9}, .max_tokens = 8}));  // the first group is busy
    TRY(engine.step());
    return text_of(TRY(lab::evaluate_logits(engine, kPrompt)));
  };
  const auto threads = on_threads(options, routed), processes = on_processes(options, routed);
  ASSERT_TRUE(threads.ok() && processes.ok()) << processes.status().to_string();
  EXPECT_EQ(*processes, *threads);

  options.worker.model.probes.force_routing = true;
  const auto forced = [](engine::Engine& engine) -> Result<std::string> {
    TRY(clear_probes(engine));
    TRY(engine.submit({.prompt = {7, 8, 9}, .max_tokens = 8}));
    TRY(engine.step());
    const int64_t top_k = engine.config().moe->top_k;
    lab::ForcedRouting routing;
    for (int64_t layer = 0; layer < engine.config().num_layers; ++layer) {
      if (!engine.config().is_moe(layer)) continue;
      for (int64_t i = 0; i < std::ssize(kPrompt) * top_k; ++i) {
        routing[layer].push_back((i / top_k + 3 * (i % top_k) + layer) % 16);
      }
    }
    const lab::Logits logits = TRY(lab::evaluate_logits(engine, kPrompt, &routing));
    for (const auto& [layer, of_layer] : logits.routing) {
      if (of_layer.experts != routing.at(layer)) return std::string("other experts were chosen");
    }
    TRY(check_alike(engine));
    return text_of(logits);
  };
  const auto in_threads = on_threads(options, forced), in_processes = on_processes(options, forced);
  ASSERT_TRUE(in_threads.ok() && in_processes.ok()) << in_processes.status().to_string();
  EXPECT_EQ(*in_processes, *in_threads);
  EXPECT_NE(*in_processes, *processes);
  EXPECT_GT(in_processes->size(), 1000u) << *in_processes;
}

TEST_P(ProcessRanksTest, ATextIsAsLikely) {
  start::EngineOptions options = small_options(GetParam());
  options.worker.model.probes = {.all_logits = true};
  const auto likelihood = [](engine::Engine& engine) -> Result<std::string> {
    const lab::Likelihood found = TRY(lab::evaluate_likelihood(engine, kPrompt, 5));
    return fmt::format("{} {}", found.tokens, found.total_nll);
  };
  const auto threads = on_threads(options, likelihood),
             processes = on_processes(options, likelihood);
  ASSERT_TRUE(threads.ok() && processes.ok()) << processes.status().to_string();
  EXPECT_EQ(*processes, *threads);
  EXPECT_TRUE(processes->starts_with("16 ")) << *processes;
}

// Serial execution and delays on all of them.
TEST_P(ProcessRanksTest, RunsWithDelaysEqualSerialExecution) {
  const auto replayed = [](engine::Engine& engine) -> Result<std::string> {
    const std::vector<engine::Request> requests = {{.prompt = {3, 5, 1, 500, 77}, .max_tokens = 3},
                                                   {.prompt = {9, 4}, .max_tokens = 4}};
    const auto recording = TRY(lab::StepRecording::record(engine, requests));
    for (const uint64_t seed : {1, 2}) {
      TRY(recording.replay(engine.ranks(), {.seed = seed, .longest = 100}));
    }
    // The last rank's sampled ids, or what else comes last, are not those of the first step.
    ranks::Ranks& ranks = engine.ranks();
    TRY(ranks.ask(ranks.size() - 1, ranks::RankQuery::keep_state(1)));
    const Status other = recording.replay(ranks, {.seed = 3, .longest = 100});
    return fmt::format("{} steps: {}", recording.num_steps(), other.to_string());
  };
  const auto processes = on_processes(small_options(GetParam()), replayed);
  ASSERT_TRUE(processes.ok()) << processes.status().to_string();
  const std::string rank = fmt::format("rank = {}, step = 1", GetParam().tp * GetParam().dp - 1);
  EXPECT_NE(processes->find("differs from serial execution"), std::string::npos) << *processes;
  EXPECT_NE(processes->find(rank), std::string::npos) << *processes;
}

// Longer than a message of the control plane may be.
TEST(ProcessRanksAnswersTest, LongOnesComeInPieces) {
  start::EngineOptions options = small_options({.tp = 2});
  options.num_blocks = 32768;
  const auto written_and_read = [](engine::Engine& engine) -> Result<std::string> {
    const flow::Residents& residents = engine.worker().model().residents();
    ranks::ResidentRows rows;
    for (int32_t index = 0; index < residents.size(); ++index) {
      const bool longest =
          rows.resident < 0 || residents[index].bytes() > residents[rows.resident].bytes();
      if (longest) rows = {.resident = index, .count = residents[index].rows};
    }
    const flow::Resident& resident = residents[rows.resident];
    ranks::ResidentRows last = {.resident = rows.resident, .first = rows.count - 1, .count = 1};
    TRY(engine.ranks().ask(
        1, ranks::RankQuery::write(last,
                                   std::string(static_cast<size_t>(resident.row_bytes()), 'x'))));
    const std::string all = TRY(engine.ranks().ask(1, ranks::RankQuery::read(rows)));
    const bool whole = std::ssize(all) == resident.bytes() && all.size() > (size_t{40} << 20);
    return fmt::format("{} bytes{}, {} at the end", all.size(), whole ? ", whole" : "",
                       all.size() - all.find_last_not_of('x') - 1);
  };
  const auto processes = on_processes(options, written_and_read);
  ASSERT_TRUE(processes.ok()) << processes.status().to_string();
  EXPECT_NE(processes->find(", whole"), std::string::npos) << *processes;
  EXPECT_FALSE(processes->ends_with(" 0 at the end")) << *processes;
}

INSTANTIATE_TEST_SUITE_P(Layouts, ProcessRanksTest,
                         ::testing::Values(layout::LayoutOptions{.tp = 2},
                                           layout::LayoutOptions{.tp = 2, .ep = 2},
                                           layout::LayoutOptions{.dp = 2},
                                           layout::LayoutOptions{.tp = 2, .dp = 2}));

// How rows get to their experts, and in which format; what runs beside that.
struct Sent {
  int32_t dp = 2;
  layers::DispatchChoice dispatch = layers::DispatchChoice::all_to_all;
  passes::DispatchDtype payload = passes::DispatchDtype::unquantized;
  passes::Switch dual_stream = passes::Switch::off;
  passes::Switch heat = passes::Switch::off;

  start::EngineOptions options() const {
    start::EngineOptions options = small_options({.dp = dp});
    options.worker.model.dtype = Format::bf16;
    options.worker.model.probes = {.all_logits = true};
    options.worker.model.dispatch = dispatch;
    options.worker.passes.of<passes::QuantizeDispatchOptions>().dtype = payload;
    options.worker.passes.of<passes::DualStreamOptions>().mode = dual_stream;
    options.worker.passes.of<passes::HeatOptions>().mode = heat;
    return options;
  }
};

// Logits of one request, and answers of three. With one request alone the other ranks have a row of
// padding, which is sent nowhere.
Result<std::string> logits_and_answers(engine::Engine& engine) {
  const std::vector<int32_t> ids = {3, 5, 1, 500, 77, 8, 250, 9, 4};
  const lab::Logits found = TRY(lab::evaluate_logits(engine, ids));
  const auto bytes = std::as_bytes(std::span(found.values));
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()) +
         TRY(answers_of(engine));
}

TEST(ProcessDispatchTest, RowsThatAreSentHaveTheBitsOfAGatherAmongThreads) {
  using passes::DispatchDtype;
  using passes::Switch;
  for (const Sent& sent : {Sent{},
                           Sent{.dp = 4},
                           {.dp = 4, .payload = DispatchDtype::fp8},
                           {.dp = 2, .payload = DispatchDtype::nvfp4},
                           {.dp = 4, .dual_stream = Switch::on, .heat = Switch::on},
                           {.dp = 2, .payload = DispatchDtype::fp8, .dual_stream = Switch::on}}) {
    const Sent gathered = {
        .dp = sent.dp, .dispatch = layers::DispatchChoice::gather, .payload = sent.payload};
    const auto expected = on_threads(gathered.options(), logits_and_answers);
    const auto got = on_processes(sent.options(), logits_and_answers);
    ASSERT_TRUE(expected.ok()) << expected.status().to_string();
    ASSERT_TRUE(got.ok()) << got.status().to_string();
    EXPECT_GT(expected->size(), 9 * 512 * sizeof(float) + 40);
    EXPECT_TRUE(*got == *expected) << "dp " << sent.dp;
  }
}

// An error before the first step comes as it is, from whichever rank met with it.
TEST(ProcessRanksErrorTest, AnErrorOfTheEngineComesAsItIs) {
  const auto refused = on_processes(small_options({.tp = 2}), [](engine::Engine& engine) {
    return Result<std::string>(engine.submit({.prompt = {}}).status().error());
  });
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind(), ErrorKind::usage);
  EXPECT_EQ(refused.error().to_string(), "the prompt is empty. Give at least one token.");
}

}  // namespace
}  // namespace braid
