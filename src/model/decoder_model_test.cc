#include "model/decoder_model.h"

#include <gtest/gtest.h>

#include <set>

#include "flow/check/check.h"
#include "flow/compile.h"
#include "ops/gemm.h"

namespace braid::model {
namespace {

DecoderModel golden_model(const std::string& name, ModelOptions options) {
  const std::string folder = std::string(BRAID_SOURCE_DIR) + "/tests/goldens/" + name;
  return {load_config(folder).value(), options};
}

ModelOptions small_options() {
  return {
      .max_rows = {.decode = 4, .prefill = 16}, .page_size = 4, .num_blocks = 8, .max_blocks = 6};
}

layers::StepShape shape(int32_t decode, int32_t prefill) {
  return {{decode, prefill}, {decode, prefill}};
}

class EveryModelTest : public ::testing::TestWithParam<const char*> {};

TEST_P(EveryModelTest, ProgramsOfAllShapesCompileAndCheck) {
  const DecoderModel model = golden_model(GetParam(), small_options());
  for (const auto& [decode, prefill] : {std::pair{1, 0}, {4, 0}, {0, 1}, {0, 16}, {3, 12}}) {
    const flow::Schedule schedule =
        flow::compile(model.build(shape(decode, prefill)).value()).value();
    const auto report = flow::check_schedule(schedule);
    EXPECT_TRUE(report.ok()) << report.status().to_string();
    // Without passes only the read-back of sampled ids is on a lane of its own.
    EXPECT_EQ(schedule.wait_count(), 1);
  }
}

TEST_P(EveryModelTest, AStepMustWaitForTheStepBefore) {
  const DecoderModel model = golden_model(GetParam(), small_options());
  const flow::Schedule decode = flow::compile(model.build(shape(4, 0)).value()).value();
  const flow::Schedule prefill = flow::compile(model.build(shape(3, 12)).value()).value();
  std::vector<flow::Launch> launches = {{&prefill, 1, {}}, {&decode, 2, {0}}, {&decode, 3, {1}}};
  EXPECT_TRUE(flow::check_launches(launches).ok());
  launches[2].after = {0};  // step 3 reads sampled ids that step 2 may still write
  EXPECT_FALSE(flow::check_launches(launches).ok());
}

// On every rank of every layout: buffers of the same sizes, and two reductions a layer.
TEST_P(EveryModelTest, RanksDifferInTheirValuesAlone) {
  const layout::ModelSizes sizes = layout_sizes(golden_model(GetParam(), small_options()).config());
  int legal = 0;
  for (const auto& [tp, ep] : {std::pair{2, 1}, {2, 2}, {4, 1}, {4, 2}, {4, 4}}) {
    const auto layout = layout::make_layout(sizes, {.tp = tp, .ep = ep});
    if (!layout.ok()) continue;
    ++legal;
    ModelOptions options = small_options();
    options.layout = *layout;
    const DecoderModel first = golden_model(GetParam(), options);
    for (options.rank = 0; options.rank < layout->world; ++options.rank) {
      const DecoderModel model = golden_model(GetParam(), options);
      ASSERT_EQ(model.residents().size(), first.residents().size());
      for (int32_t index = 0; index < first.residents().size(); ++index) {
        EXPECT_EQ(model.residents()[index].rows, first.residents()[index].rows);
        EXPECT_EQ(model.residents()[index].cols, first.residents()[index].cols);
      }
      const flow::Schedule schedule = flow::compile(model.build(shape(3, 12)).value()).value();
      const auto report = flow::check_schedule(schedule);
      EXPECT_TRUE(report.ok()) << report.status().to_string();
      EXPECT_EQ(schedule.lanes[flow::index_of(flow::Lane::comm)].size(),
                static_cast<size_t>(2 * model.config().num_layers + 2));
    }
  }
  const bool two_heads = std::string_view(GetParam()).starts_with("deepseek");
  const bool dense = std::string_view(GetParam()) == "qwen2";
  EXPECT_EQ(legal, two_heads || dense ? 2 : 5);  // tp 2 alone, or without ep
}

// The Schedules of all ranks of a layout, each with its group's own rows.
std::vector<flow::Schedule> schedules_of(const std::string& name, const layout::Layout& layout,
                                         const std::vector<layers::StepShape>& shapes) {
  ModelOptions options = small_options();
  options.layout = layout;
  std::vector<flow::Schedule> schedules;
  for (options.rank = 0; options.rank < layout.world; ++options.rank) {
    const int32_t group = layout.attention.coordinates(options.rank)[0];
    const DecoderModel model = golden_model(name, options);
    const auto program = model.build(shapes[static_cast<size_t>(group)]);
    EXPECT_TRUE(program.ok()) << program.status().to_string();
    schedules.push_back(flow::compile(program.value()).value());
    const auto report = flow::check_schedule(schedules.back());
    EXPECT_TRUE(report.ok()) << report.status().to_string();
  }
  return schedules;
}

Result<flow::CheckReport> joint_proof(const layout::Layout& layout,
                                      const std::vector<flow::Schedule>& schedules) {
  std::vector<flow::CommunicatorGroup> groups;
  for (size_t id = 0; id < layout.communicators.size(); ++id) {
    for (const auto& members : layout.communicators[id].groups) {
      groups.push_back({static_cast<int32_t>(id), members});
    }
  }
  std::vector<const flow::Schedule*> all;
  for (const flow::Schedule& schedule : schedules) all.push_back(&schedule);
  return flow::check_joint(all, groups);
}

int64_t moe_layers(const ModelConfig& config) {
  int64_t layers = 0;
  for (int64_t layer = 0; layer < config.num_layers; ++layer) layers += config.is_moe(layer);
  return layers;
}

// One group in prefill, one decoding, one with a row of padding, one with none: collectives over
// groups depend on what is alike in all of them alone.
TEST_P(EveryModelTest, GroupsWithDifferentRowsMeet) {
  const ModelConfig config = golden_model(GetParam(), small_options()).config();
  if (!config.moe) return;  // refused by make_layout
  const layers::RowCounts most{3, 12};
  const std::vector<layers::StepShape> shapes = {
      {{0, 12}, most}, {{3, 0}, most}, {{1, 0}, most}, {{0, 0}, most}};
  for (const auto& [dp, tp, ep] :
       {std::tuple{2, 1, 0}, {2, 2, 0}, {2, 2, 1}, {2, 2, 2}, {4, 1, 0}, {4, 1, 1}, {4, 2, 0}}) {
    const auto layout =
        layout::make_layout(layout_sizes(config), {.tp = tp, .ep = ep, .dp = dp}).value();
    std::vector<flow::Schedule> schedules = schedules_of(GetParam(), layout, shapes);
    const auto report = joint_proof(layout, schedules);
    ASSERT_TRUE(report.ok()) << report.status().to_string();
    // A gather and its way back a MoE layer, in each of tp groups; with tp two sums a layer, the
    // embedding's and the gathered logits.
    EXPECT_EQ(report->collectives,
              2 * moe_layers(config) * tp + (tp > 1 ? (2 * config.num_layers + 2) * dp : 0));
  }
}

TEST_P(EveryModelTest, GroupsThatDisagreeOnTheLargestOneDontMeet) {
  const ModelConfig config = golden_model(GetParam(), small_options()).config();
  if (!config.moe) return;
  const auto layout = layout::make_layout(layout_sizes(config), {.dp = 2}).value();
  const auto report =
      joint_proof(layout, schedules_of(GetParam(), layout, {shape(3, 0), {{3, 0}, {4, 0}}}));
  ASSERT_FALSE(report.ok());
  EXPECT_NE(report.status().to_string().find("all_gather_v"), std::string::npos)
      << report.status().to_string();
}

INSTANTIATE_TEST_SUITE_P(Goldens, EveryModelTest,
                         ::testing::Values("glm4_moe", "deepseek_v2", "deepseek_v3", "qwen2",
                                           "qwen3_moe", "mixtral"),
                         [](const auto& info) { return std::string(info.param); });

TEST(DecoderModelTest, CacheHoldsKeysAndValuesOrTheLatent) {
  const DecoderModel gqa = golden_model("glm4_moe", small_options());
  EXPECT_EQ(gqa.residents()[gqa.state().caches[0]].cols, 2 * 2 * 128);
  EXPECT_EQ(gqa.residents()[gqa.state().caches[0]].rows, 8 * 4);
  const DecoderModel mla = golden_model("deepseek_v3", small_options());
  EXPECT_EQ(mla.residents()[mla.state().caches[0]].cols, 512 + 64);
  EXPECT_EQ(DecoderModel::cache_bytes_per_token(mla.config(), Format::bf16),
            2 * (512 + 64) * 2 + 4);
}

TEST(DecoderModelTest, SharedExpertsAreTheLastSlotsOfThePool) {
  const DecoderModel model = golden_model("deepseek_v2", small_options());
  const MoeConfig& moe = *model.config().moe;
  const flow::Program program = model.build(shape(2, 0)).value();
  const flow::ScopeOps shared = program.scopes(flow::Role::shared_expert).at(0);
  const flow::Op& gate_up = program.ops[static_cast<size_t>(shared.ops[0])];
  const flow::Value weights = gate_up.operands[ops::GemmOperand::weight];
  const flow::ValueInfo& weight = program.info(weights);
  EXPECT_EQ(program.buffer_of(weights).rows, 18 * 2 * moe.expert_width);
  EXPECT_EQ(weight.first_row, 16 * 2 * moe.expert_width);
  EXPECT_EQ(weight.rows, 2 * 2 * moe.expert_width);
}

TEST(DecoderModelTest, RanksKeepTheirKvHeadsOrAllOfTheLatent) {
  ModelOptions options = small_options();
  const auto columns = [&](const char* name, int32_t tp) {
    const ModelConfig config = golden_model(name, small_options()).config();
    options.layout = layout::make_layout(layout_sizes(config), {.tp = tp}).value();
    const DecoderModel model(config, options);
    EXPECT_EQ(DecoderModel::cache_bytes_per_token(config, Format::f32, options.layout),
              config.num_layers * model.residents()[model.state().caches[0]].cols * 4 + 4);
    return model.residents()[model.state().caches[0]].cols;
  };
  EXPECT_EQ(columns("glm4_moe", 2), 2 * 1 * 128);
  EXPECT_EQ(columns("glm4_moe", 4), 2 * 1 * 128);  // each of two heads on two ranks
  EXPECT_EQ(columns("deepseek_v3", 2), 512 + 64);
}

TEST(DecoderModelTest, TiedEmbeddingsAreOneBuffer) {
  ModelConfig config = load_config(std::string(BRAID_SOURCE_DIR) + "/tests/goldens/qwen2").value();
  const DecoderModel untied(config, small_options());
  config.tie_word_embeddings = true;
  const DecoderModel tied(config, small_options());
  EXPECT_EQ(untied.residents().bytes(flow::Lifetime::weight) -
                tied.residents().bytes(flow::Lifetime::weight),
            config.vocab_size * config.hidden_size * 4);
}

TEST(DecoderModelTest, RowsGoToTheirExpertsAsAskedFor) {
  ModelOptions options = small_options();
  const DecoderModel config_of = golden_model("qwen3_moe", options);
  options.layout =
      layout::make_layout(layout_sizes(config_of.config()), {.tp = 1, .dp = 2}).value();
  const DecoderModel model = golden_model("qwen3_moe", options);
  const auto moves = [&](ops::DispatchKind kind) {
    std::set<std::string_view> names;
    for (const flow::Op& op : model.build(shape(0, 4), kind).value().ops) {
      if (op.desc.kind().collective != nullptr) names.insert(op.desc.kind().name);
    }
    return names;
  };
  using Names = std::set<std::string_view>;
  EXPECT_EQ(moves(ops::DispatchKind::gather), (Names{"all_gather_v", "reduce_scatter_v"}));
  EXPECT_EQ(moves(ops::DispatchKind::all_to_all), (Names{"all_to_all_v", "return_rows"}));
}

TEST(DecoderModelTest, ProbesAddBuffersAndCopiesOnlyWhenAsked) {
  ModelOptions options = small_options();
  const size_t plain = golden_model("glm4_moe", options).build(shape(2, 0)).value().ops.size();
  options.probes = {.all_logits = true, .hidden = true, .routing = true};
  const DecoderModel model = golden_model("glm4_moe", options);
  // Logits, three hidden states and the last one's norm, router logits of two layers.
  EXPECT_EQ(model.build(shape(2, 0)).value().ops.size(), plain + 1 + 4 + 2);
  EXPECT_EQ(model.state().expert_ids[0], kAbsent);  // a dense layer
  EXPECT_NE(model.state().expert_ids[1], kAbsent);
}

}  // namespace
}  // namespace braid::model
