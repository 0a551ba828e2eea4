// What the ops of every architecture declare, against what their kernels touch: no access goes
// undeclared, and every single wrong declaration would be seen.
#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "comm/local/local_group.h"
#include "device/cpu/cpu_device.h"
#include "engine/step_inputs.h"
#include "flow/audit/audit.h"
#include "model/checkpoint_source.h"
#include "ops/register_collectives_cpu.h"
#include "ops/register_cpu.h"
#include "passes/dual_stream.h"
#include "passes/quantize_dispatch.h"
#include "steps/schedules.h"
#include "support/models.h"

namespace braid::testing {
namespace {

using engine::Plan;
using engine::PlannedRows;
using engine::Sequence;
using flow::MutationReport;

constexpr int32_t kPageSize = 4;
constexpr int32_t kMaxBlocks = 8;  // of a sequence
constexpr int32_t kSequences = 5;  // so that the decode bucket of 6 has a padding row
constexpr int32_t kPromptTokens = 7;

// A model with its memory, and the steps of a few sequences, without an engine around it.
class Rig {
 public:
  Rig(const std::string& golden, model::ModelOptions options,
      const std::vector<comm::Communicator*>& communicators = {},
      const steps::PassOptions& passes = {})
      : model_(model::load_config(golden_folder(golden)).value(), sized(options)),
        schedules_(model_, table_, passes) {
    ops::register_cpu(table_);
    ops::register_collectives_cpu(table_, communicators);
    allocate();
    const std::string folder = golden_folder(golden);
    const model::CheckpointSource source(model::Checkpoint::open(folder).value(),
                                         model_.config().quantization);
    BRAID_CHECK(model_.weights()
                    .load(source, model_.residents(), {.device = device_, .kernels = table_})
                    .ok());
    for (int32_t i = 0; i < kSequences; ++i) add_sequence(i);
  }

  // Audits a step with one decode row of each of the sequences [first_decode, last_decode) and a
  // chunk of so many tokens of each of [first_prefill, last_prefill), and its read-back.
  MutationReport step(std::pair<int, int> decode, std::pair<int, int> prefill, int32_t chunk) {
    Plan plan;
    for (int i = decode.first; i < decode.second; ++i) plan.decode.push_back(next_rows(i, 1));
    for (int i = prefill.first; i < prefill.second; ++i) {
      plan.prefill.push_back(next_rows(i, chunk));
    }
    const layers::RowCounts rows = plan.rows();
    const layers::RowCounts bucket{layers::bucket_of(rows.decode), layers::bucket_of(rows.prefill)};
    ++step_;
    const int32_t words = model_.state().inputs_host;
    // All ranks audit the same step: those with rows of their own have equally many.
    const int32_t dp = model_.limits().dp;
    const std::vector<int32_t> rank_rows(static_cast<size_t>(dp > 1 ? dp : 0),
                                         engine::rows_to_last(plan, bucket));
    const layers::StepShape shape{bucket, bucket, engine::sampling_of(plan)};
    engine::fill_words(plan, shape, model_.limits(), kPageSize,
                       {reinterpret_cast<int32_t*>(
                            model_.residents().data(words, static_cast<int32_t>(step_ & 1))),
                        static_cast<size_t>(model_.residents()[words].rows)},
                       rank_rows);
    const steps::CompiledStep* compiled = schedules_.get(shape).value();
    MutationReport report = audited(compiled->bound);
    if (compiled->has_readback()) add(report, audited(compiled->bound_readback));
    return report;
  }

  static void add(MutationReport& into, const MutationReport& report) {
    into.caught += report.caught;
    into.undetectable += report.undetectable;
    into.unnoticed.insert(into.unnoticed.end(), report.unnoticed.begin(), report.unnoticed.end());
    into.findings.insert(into.findings.end(), report.findings.begin(), report.findings.end());
  }

 private:
  static model::ModelOptions sized(model::ModelOptions options) {
    options.max_rows = {.decode = 6, .prefill = 24};
    options.page_size = kPageSize;
    options.num_blocks = kSequences * kMaxBlocks;
    options.max_blocks = kMaxBlocks;
    return options;
  }

  void allocate() {
    flow::Residents& residents = model_.residents();
    for (int32_t index = 0; index < residents.size(); ++index) {
      for (int32_t copy = 0; copy < residents[index].copies; ++copy) {
        memory_.push_back(device_.allocate(residents[index].bytes()).value());
        std::fill_n(memory_.back().data(), residents[index].bytes(), std::byte{0});
        residents.set_data(index, copy, memory_.back().data());
      }
    }
    const int64_t bytes = schedules_.workspace_bytes().value();
    memory_.push_back(device_.allocate(bytes).value());
    arena_ = {memory_.back().data(), static_cast<size_t>(bytes)};
    schedules_.bind_to(arena_.data(), bytes);
    for (const int32_t forced : model_.state().forced_ids) {
      if (forced == model::kAbsent) continue;
      std::fill_n(residents.data(forced), residents[forced].bytes(), std::byte{0xff});  // all -1
    }
  }

  void add_sequence(int32_t index) {
    auto sequence = std::make_unique<Sequence>();
    for (int32_t b = 0; b < kMaxBlocks; ++b) sequence->blocks.push_back(b * kSequences + index);
    if (index % 2 == 1) {
      sequence->request.sampling = {.temperature = 0.9f, .top_p = 0.9f, .top_k = 40, .seed = 3};
      sequence->request.sampling.repetition_penalty = 1.2f;
      sequence->request.sampling.logit_bias = {{5, 2}};
      sequence->request.logprobs = 3;
    }
    sequences_.push_back(std::move(sequence));
  }

  // The sequence's tokens end with these rows, so that a next one is sampled.
  PlannedRows next_rows(int index, int32_t count) {
    Sequence& sequence = *sequences_[static_cast<size_t>(index)];
    for (int32_t i = 0; i < count; ++i) {
      sequence.tokens.push_back((index * 131 + sequence.size() * 37) % 512);
    }
    const PlannedRows rows{&sequence, sequence.computed, count};
    sequence.computed += count;
    return rows;
  }

  MutationReport audited(const flow::BoundSchedule& bound) {
    return flow::audit_mutations(bound, model_.residents(), arena_, step_);
  }

  device::CpuDevice device_;
  flow::LauncherTable table_;
  model::DecoderModel model_;
  steps::Schedules schedules_;
  std::vector<device::Memory> memory_;
  std::span<std::byte> arena_;
  std::vector<std::unique_ptr<Sequence>> sequences_;
  int64_t step_ = 0;
};

void expect_honest(const MutationReport& report, const std::string& where) {
  for (const flow::AuditFinding& finding : report.findings) ADD_FAILURE() << where << finding.text;
  for (const std::string& mutation : report.unnoticed) ADD_FAILURE() << where << mutation;
  EXPECT_GT(report.caught, 0) << where;
}

// Prefill of all, decode of all, and a step with both.
MutationReport audit_steps(Rig& rig, const std::string& name) {
  MutationReport all;
  const auto add = [&](const MutationReport& report, const char* step) {
    expect_honest(report, fmt::format("{}, {}: ", name, step));
    Rig::add(all, report);
  };
  add(rig.step({0, 0}, {0, 3}, kPromptTokens), "prefill");
  add(rig.step({0, 3}, {3, 5}, kPromptTokens), "mixed");
  add(rig.step({0, 5}, {0, 0}, 0), "decode");
  return all;
}

void print(const std::string& name, const MutationReport& report) {
  fmt::print("[ MUTATION ] {}: {} caught, {} that change nothing an audit can see\n", name,
             report.caught, report.undetectable);
  ::testing::Test::RecordProperty("caught", static_cast<int>(report.caught));
  ::testing::Test::RecordProperty("undetectable", static_cast<int>(report.undetectable));
}

std::string test_name(const ::testing::TestParamInfo<std::string>& info) { return info.param; }

class AuditModelsTest : public ::testing::TestWithParam<std::string> {};

TEST_P(AuditModelsTest, KernelsTouchWhatTheirOpsDeclare) {
  Rig rig(GetParam(), {});
  print(GetParam(), audit_steps(rig, GetParam()));
}

TEST_P(AuditModelsTest, InBfloat16WithAllProbes) {
  Rig rig(GetParam(),
          {.dtype = Format::bf16,
           .probes = {.all_logits = true, .hidden = true, .routing = true, .force_routing = true},
           .expert_heat = GetParam() != "qwen2",
           .mla_form = kernels::MlaForm::expanded});
  print(GetParam(), audit_steps(rig, GetParam()));
}

INSTANTIATE_TEST_SUITE_P(Models, AuditModelsTest,
                         ::testing::Values("glm4_moe", "deepseek_v2", "deepseek_v3", "qwen2",
                                           "qwen3_moe", "mixtral"),
                         test_name);

// Two ranks side by side: what a collective touches on both is declared on each.
class AuditRanksTest : public ::testing::TestWithParam<std::string> {};

// How rows get to the other rank's experts, where it has rows of its own.
struct AuditedDispatch {
  layers::DispatchChoice choice = layers::DispatchChoice::automatic;
  passes::DispatchDtype dtype = passes::DispatchDtype::automatic;
};

void audit_two_ranks(const std::string& golden, const layout::LayoutOptions& layout,
                     const AuditedDispatch& dispatch = {}, int32_t redundant = 0) {
  const model::ModelConfig config = model::load_config(golden_folder(golden)).value();
  comm::LocalGroup group({0, 1}, std::chrono::seconds(60));
  const auto audit_rank = [&](int32_t rank) {
    model::ModelOptions options;
    options.layout = layout::make_layout(model::layout_sizes(config), layout).value();
    options.rank = rank;
    options.dispatch = dispatch.choice;
    if (redundant > 0) {
      options.placement = std::make_shared<const experts::ExpertPlacement>(
          experts::ExpertPlacement::standard(model::placement_sizes(config, 2, redundant).value()));
    }
    options.expert_heat = layout.dp > 1;
    steps::PassOptions passes;
    passes.of<passes::QuantizeDispatchOptions>().dtype = dispatch.dtype;
    Rig rig(golden, options, {&group.member(rank)}, passes);
    const std::string name = fmt::format("{} rank {}", golden, rank);
    print(name, audit_steps(rig, name));
  };
  std::thread other([&] { audit_rank(1); });
  audit_rank(0);
  other.join();
  EXPECT_TRUE(group.member(0).status().ok());
}

TEST_P(AuditRanksTest, CollectivesTouchWhatTheirOpsDeclare) {
  audit_two_ranks(GetParam(), {.tp = 2, .ep = GetParam() == "qwen2" ? 1 : 2});
}

TEST(AuditGroupsTest, GathersAndScatteredSumsTouchWhatTheyDeclare) {
  audit_two_ranks("glm4_moe", {.dp = 2});
}

TEST(AuditGroupsTest, SentRowsTouchWhatTheyDeclare) {
  for (const auto dtype : {passes::DispatchDtype::unquantized, passes::DispatchDtype::fp8}) {
    audit_two_ranks("glm4_moe", {.dp = 2}, {layers::DispatchChoice::all_to_all, dtype});
  }
}

TEST(AuditGroupsTest, QuantizedRowsTouchWhatTheyDeclare) {
  for (const auto dtype : {passes::DispatchDtype::fp8, passes::DispatchDtype::nvfp4}) {
    audit_two_ranks("glm4_moe", {.dp = 2}, {.dtype = dtype});
  }
}

TEST(AuditPlacementTest, PermuteReadsTheTableOfSlots) {
  audit_two_ranks("glm4_moe", {.tp = 2, .ep = 2}, {}, 4);
}

INSTANTIATE_TEST_SUITE_P(Models, AuditRanksTest,
                         ::testing::Values("glm4_moe", "deepseek_v2", "qwen2"), test_name);

TEST(AuditModelsTest, SharedExpertsAsSlots) {
  for (const char* golden : {"glm4_moe", "deepseek_v2"}) {
    steps::PassOptions passes;
    passes.of<passes::DualStreamOptions>().fused = true;
    Rig rig(golden, {}, {}, passes);
    print(golden, audit_steps(rig, golden));
  }
}

TEST(AuditModelsTest, ExpertsChosenByPopularity) {
  Rig rig("mixtral", {.choice = kernels::Choice::zipf, .expert_heat = true});
  print("zipf", audit_steps(rig, "zipf"));
}

}  // namespace
}  // namespace braid::testing
