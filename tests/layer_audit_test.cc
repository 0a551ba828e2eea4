// Audits of a layer's declarations by fill, as `braid bench layer --check` runs them: an op that
// does more than it declares is named, and the audit leaves what a run leaves.
#include <gtest/gtest.h>

#include <thread>

#include "lab/layer_check.h"
#include "model/dummy_source.h"
#include "passes/chunk_collectives.h"
#include "ranks/local_world.h"
#include "support/models.h"

namespace braid::testing {
namespace {

using lab::LayerRank;
using lab::LayerRows;
using ranks::Backend;

// The CPU, with a bug behind one op when it runs alone: it changes an operand.
class BuggyBackend final : public Backend {
 public:
  device::Device& device() override { return cpu_->device(); }
  device::Device& host() override { return cpu_->host(); }
  flow::LauncherTable& table() override { return cpu_->table(); }
  flow::Executor& executor() override { return cpu_->executor(); }
  Status share_workspace(std::byte* arena, int64_t bytes) override {
    return cpu_->share_workspace(arena, bytes);
  }
  Result<std::string> capture(const flow::BoundSchedule& bound) override {
    return cpu_->capture(bound);
  }
  void release(const flow::BoundSchedule& bound) override { cpu_->release(bound); }
  void set_delays(flow::Delays delays) override { cpu_->set_delays(delays); }
  Status collectives() const override { return cpu_->collectives(); }
  Status run_op(const flow::BoundSchedule& bound, size_t op, int64_t step) override {
    TRY(cpu_->run_op(bound, op, step));
    ++ops_run;
    if (op == bug_in) bound.ops[op].args.front()[operand].data[0] ^= std::byte{1};
    return {};
  }

  size_t bug_in = SIZE_MAX;
  size_t operand = 0;
  size_t ops_run = 0;

 private:
  std::unique_ptr<Backend> cpu_ = ranks::make_cpu_backend().value();
};

struct Layer {
  BuggyBackend backend;
  LayerRank rank;
  static constexpr LayerRows kRows{.rows = 5};

  Layer()
      : rank(model::load_config(golden_folder("mixtral")).value(), {.probes = {.hidden = true}},
             {&kRows, 1}, backend) {
    BRAID_CHECK(rank.add("serial", kRows, rank.part().build(kRows.shape()).value()).ok());
    BRAID_CHECK(rank.allocate(model::DummySource(3)).ok());
  }
  const flow::Program& program() const { return rank.variant(0).schedule.program; }

  // Plants the bug in the first op that has a step buffer as an operand of this access.
  void plant(flow::Access access) {
    for (size_t op = 0; op < program().ops.size(); ++op) {
      const flow::Op& at = program().ops[op];
      for (size_t i = 0; i < at.operands.size(); ++i) {
        if (!at.operands[i].present() || at.kind().operands[i].access != access) continue;
        if (program().buffer_of(at.operands[i]).lifetime != flow::Lifetime::step) continue;
        backend.bug_in = op;
        backend.operand = i;
        return;
      }
    }
  }
};

TEST(LayerAuditTest, RunsEveryOpTwiceAndLeavesTheResult) {
  Layer layer;
  LayerRank* const ranks[] = {&layer.rank};
  const size_t variants[] = {0, 0};
  const auto said = lab::audit_variants(ranks, variants, ranks[0]->audit_bytes());
  ASSERT_TRUE(said.ok()) << said.status().to_string();
  const size_t ops = layer.program().ops.size();
  EXPECT_EQ(*said,
            fmt::format("{} ops of 2 variants audited: they touch what they declare", 2 * ops));
  EXPECT_EQ(layer.backend.ops_run, 4 * ops);
}

TEST(LayerAuditTest, NamesAnOpThatChangesWhatItReads) {
  Layer layer;
  layer.plant(flow::Access::read);
  const auto audit = layer.rank.audit(0);
  ASSERT_FALSE(audit.ok());
  EXPECT_EQ(audit.error().kind(), ErrorKind::internal);
  const flow::Op& op = layer.program().ops[layer.backend.bug_in];
  EXPECT_NE(audit.status().to_string().find(
                fmt::format("found = op {} ({}) writes what it declares to read only",
                            layer.backend.bug_in, layer.program().describe(op))),
            std::string::npos)
      << audit.status().to_string();
  EXPECT_NE(audit.status().to_string().find("variant = serial"), std::string::npos);
}

// Two ranks with a prefill in chunks, continued, each audited by a thread of its own.
TEST(LayerAuditTest, RanksInChunksTouchWhatTheyDeclare) {
  const model::ModelConfig config = model::load_config(golden_folder("qwen2")).value();
  const layout::Layout layout = layout::make_layout(model::layout_sizes(config), {.tp = 2}).value();
  ranks::LocalWorld world(layout, std::chrono::seconds(60));
  constexpr LayerRows kRows{.rows = 300};
  std::vector<std::unique_ptr<Backend>> backends;
  std::vector<std::unique_ptr<LayerRank>> ranks;
  for (int32_t rank = 0; rank < 2; ++rank) {
    backends.push_back(ranks::make_cpu_backend(world.communicators_of(rank)).value());
    model::ModelOptions options{.probes = {.hidden = true}};
    options.layout = layout;
    options.rank = rank;
    ranks.push_back(
        std::make_unique<LayerRank>(config, options, std::span(&kRows, 1), *backends.back()));
    passes::Decisions why;
    const passes::PassOptions pass_options;
    const lab::LayerPart& part = ranks.back()->part();
    auto program = passes::chunk_collectives(
        part.build(kRows.shape()).value(), {.chunks = 3, .continued = true},
        steps::pass_context(part.model(), kRows.shape(), pass_options, why));
    ASSERT_EQ(why.front().choice, "3 chunks, continued, sums and norms once a row");
    ASSERT_TRUE(ranks.back()->add("chunks", kRows, std::move(program).value()).ok());
    ASSERT_TRUE(ranks.back()->allocate(model::DummySource(3)).ok());
  }
  std::array<Status, 2> found;
  std::thread other([&] { found[1] = ranks[1]->audit(0).status(); });
  found[0] = ranks[0]->audit(0).status();
  other.join();
  EXPECT_EQ(found[0].to_string(), "ok");
  EXPECT_EQ(found[1].to_string(), "ok");
}

TEST(LayerAuditTest, StatesTooLargeAreNotAudited) {
  Layer layer;
  EXPECT_GT(layer.rank.audit_bytes(), 5 * 4 * layer.rank.model().config().hidden_size);
  EXPECT_LT(layer.rank.audit_bytes(), int64_t{256} << 20);
  BuggyBackend backend;
  constexpr LayerRows kMany{.rows = 1, .context = 1'000'000};
  LayerRank large(layer.rank.model().config(), {}, {&kMany, 1}, backend);
  LayerRank* const ranks[] = {&large};
  const size_t variants[] = {0};
  const auto said = lab::audit_variants(ranks, variants,
                                        ranks[0]->audit_bytes());  // nothing is allocated or run
  ASSERT_TRUE(said.ok());
  EXPECT_NE(said->find("declarations not audited: "), std::string::npos) << *said;
  EXPECT_EQ(backend.ops_run, 0u);
}

}  // namespace
}  // namespace braid::testing
