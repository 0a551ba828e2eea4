// Ranks that die, hang, fail or leave out a collective: all end in time, the right one is named,
// and no process is left over.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <random>

#include "lab/verification.h"
#include "passes/fuse_decode_attention.h"
#include "support/process_ranks_util.h"

namespace braid {
namespace {

using flow::FaultKind;
using testing::on_processes;
using testing::on_threads;
using testing::small_options;

constexpr layout::LayoutOptions kLayouts[] = {
    {.tp = 2}, {.tp = 2, .ep = 2}, {.dp = 2}, {.tp = 2, .dp = 2}};

// Of groups with rows of their own, every other one sends them to their experts.
layers::DispatchChoice dispatch_of(const layout::LayoutOptions& layout, uint64_t seed) {
  const bool sends = layout.dp == 2 && layout.tp == 1 && (seed / 100 + seed) % 2 == 0;
  return sends ? layers::DispatchChoice::all_to_all : layers::DispatchChoice::gather;
}

// One fault, as the seed has it.
struct Injection {
  explicit Injection(uint64_t seed) : random(seed) {
    options = small_options(kLayouts[pick(std::size(kLayouts))]);
    options.worker.step_timeout = std::chrono::seconds(2);
    options.worker.model.dispatch = dispatch_of(options.layout, seed);
    // Ops have the same numbers in steps of prefill and of decode.
    options.worker.passes.of<passes::FuseAttentionOptions>().mode = passes::Switch::off;
    const ranks::WorkerOptions worker =
        start::resolve(testing::small_model(), options).value().worker;
    layout = worker.model.layout;
    processes = pick(2) == 0;
    constexpr FaultKind kKinds[] = {FaultKind::fail, FaultKind::hang, FaultKind::skip,
                                    FaultKind::kill};
    fault.kind = kKinds[pick(processes ? 4 : 3)];
    options.worker.fault_rank = static_cast<int32_t>(pick(static_cast<size_t>(layout.world)));
    fault.step = 1 + static_cast<int64_t>(pick(5));
    // The first step has the most ops; all have those up to the last collective of a decode step.
    const lab::StepCompiler compiler(testing::small_model(), worker);
    const lab::RankSteps steps = compiler.compile({{1, 0}, {1, 0}}).value();
    const flow::Program& program =
        steps[static_cast<size_t>(options.worker.fault_rank)]->schedule.program;
    std::vector<int32_t> collectives;
    int32_t last_sum = 0;
    for (int32_t op = 0; op < std::ssize(program.ops); ++op) {
      if (program.ops[static_cast<size_t>(op)].lane == flow::Lane::comm) collectives.push_back(op);
      if (program.ops[static_cast<size_t>(op)].kind().name == "all_reduce") last_sum = op;
    }
    fault.op = static_cast<int32_t>(pick(static_cast<size_t>(collectives.back())));
    if (fault.kind == FaultKind::skip) {
      // What a thread reads of rows that never came may end all threads: sums are harmless.
      fault.op = processes || last_sum == 0 ? collectives[pick(collectives.size())] : last_sum;
      if (last_sum == 0) processes = true;
    }
    options.worker.fault = fault;
  }

  size_t pick(size_t count) { return random() % count; }
  std::string name() const {
    return fmt::format("kind {} rank {} step {} op {} on {} {}", static_cast<int>(fault.kind),
                       options.worker.fault_rank, fault.step, fault.op, layout.to_string(),
                       processes ? "processes" : "threads");
  }

  std::mt19937_64 random;
  start::EngineOptions options;
  layout::Layout layout;
  flow::Fault fault;
  bool processes = false;
};

void expect_a_quick_end(uint64_t seed) {
  const Injection injection(seed);
  const auto start = std::chrono::steady_clock::now();
  const auto ran =
      injection.processes ? on_processes(injection.options) : on_threads(injection.options);
  const double took =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  // Start-up, four healthy steps, the step timeout, and ten seconds at most for the end.
  EXPECT_LT(took, 2 + 10 + 5) << injection.name();
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << injection.name();
  ASSERT_FALSE(ran.ok()) << injection.name();
  const std::string text = ran.error().to_string();
  const int32_t rank = injection.options.worker.fault_rank;
  // A rank that leaves out a collective meets the others in the next one: one of them is missed.
  // Of four ranks that wait for one another because of one that hangs, the first missed is named.
  const FaultKind kind = injection.fault.kind;
  const bool chain = kind == FaultKind::hang && injection.layout.world > 2;
  const bool named = (kind == FaultKind::skip && text.find("rank") != text.npos) ||
                     (chain && text.find("did not come") != text.npos) ||
                     text.find(fmt::format("rank {}", rank)) != text.npos ||
                     text.find(fmt::format("rank = {}", rank)) != text.npos;
  EXPECT_TRUE(named) << injection.name() << "\n" << text;
  EXPECT_NE(text.find("op = "), text.npos) << injection.name() << "\n" << text;
  EXPECT_NE(text.find(fmt::format("step = {}", injection.fault.step)), text.npos)
      << injection.name() << "\n"
      << text;
}

class FaultsTest : public ::testing::TestWithParam<uint64_t> {};

// A few always; 200 in the long tests.
TEST_P(FaultsTest, AllRanksEndSoonAndTheCulpritIsNamed) {
  const bool whole = std::getenv("BRAID_LONG") != nullptr;
  for (uint64_t i = 0; i < (whole ? 25 : 1); ++i) expect_a_quick_end(100 * GetParam() + i);
}

INSTANTIATE_TEST_SUITE_P(Seeds, FaultsTest, ::testing::Range(uint64_t{1}, uint64_t{9}));

TEST(FaultTest, AKilledProcessIsNamedWithTheOpThatOthersWaitIn) {
  start::EngineOptions options = small_options({.tp = 2});
  options.worker.fault_rank = 1;
  options.worker.fault = {.kind = FaultKind::kill, .step = 2, .op = 5};
  const auto start = std::chrono::steady_clock::now();
  const auto ran = on_processes(options);
  ASSERT_FALSE(ran.ok());
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
  const std::string text = ran.error().to_string();
  EXPECT_TRUE(text.starts_with("rank 1 died by signal 9")) << text;
  for (const char* word : {"rank 0 = another rank is lost", "all_reduce", "step = 2"}) {
    EXPECT_NE(text.find(word), text.npos) << text;
  }
}

}  // namespace
}  // namespace braid
