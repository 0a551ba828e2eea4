// Norms, sums and routing as parts of other ops, on real models: fewer ops, the same bits on the
// CPU.
#include <gtest/gtest.h>

#include <cstring>

#include "model/config.h"
#include "passes/count_heat.h"
#include "passes/dual_stream.h"
#include "passes/fuse_norm.h"
#include "passes/fuse_route.h"
#include "steps/schedules.h"
#include "support/models.h"
#include "support/prompt.h"

namespace braid::testing {
namespace {

using layout::LayoutOptions;
using passes::Switch;

struct Settings {
  Switch norm = Switch::off;
  Switch route = Switch::off;
  bool two_lanes = false;
  bool heat = false;
};

passes::PassOptions options_of(const Settings& settings) {
  passes::PassOptions options;
  options.of<passes::FuseNormOptions>().mode = settings.norm;
  options.of<passes::FuseRouteOptions>().mode = settings.route;
  options.of<passes::DualStreamOptions>().mode = settings.two_lanes ? Switch::on : Switch::off;
  options.of<passes::HeatOptions>().mode = settings.heat ? Switch::on : Switch::off;
  return options;
}

// What a request leaves behind: a prompt in two chunks, then some tokens one by one.
std::vector<TokenRecord> run(const std::string& golden, const LayoutOptions& layout,
                             const Settings& settings) {
  const std::vector<int32_t> prompt = golden_ids(golden, "input_ids");
  start::EngineOptions options = prompt_options(prompt.size() + 8);
  options.chunked_prefill_size = static_cast<int32_t>(prompt.size() / 2 + 1);
  options.layout = layout;
  options.worker.passes = options_of(settings);
  options.worker.model.expert_heat = settings.heat;
  const auto engine = open_engine(golden_folder(golden), options);
  Tap tap(*engine);
  const auto request = engine->submit({.prompt = prompt, .max_tokens = 6}).value();
  run_to_end(*engine);
  return tap.of(request);
}

void expect_same(const std::vector<TokenRecord>& got, const std::vector<TokenRecord>& want) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    SCOPED_TRACE(::testing::Message() << "token " << i);
    EXPECT_TRUE(same_bytes(got[i].logits, want[i].logits));
    for (size_t layer = 0; layer < got[i].hidden.size(); ++layer) {
      EXPECT_TRUE(same_bytes(got[i].hidden[layer], want[i].hidden[layer])) << layer;
      EXPECT_EQ(got[i].experts[layer], want[i].experts[layer]) << layer;
      EXPECT_TRUE(same_bytes(got[i].expert_weights[layer], want[i].expert_weights[layer]));
    }
  }
}

class FusedOpsTest : public ::testing::TestWithParam<std::string> {};

TEST_P(FusedOpsTest, ChangeNoBit) {
  for (const LayoutOptions& layout :
       {LayoutOptions{}, LayoutOptions{.tp = 2}, LayoutOptions{.tp = 2, .ep = 2},
        LayoutOptions{.tp = 1, .dp = 2}}) {
    const model::ModelConfig config = model::load_config(golden_folder(GetParam())).value();
    if (!layout::make_layout(model::layout_sizes(config), layout).ok()) continue;
    SCOPED_TRACE(fmt::format("tp {} ep {} dp {}", layout.tp, layout.ep, layout.dp));
    const std::vector<TokenRecord> apart = run(GetParam(), layout, {});
    for (const Settings& settings :
         {Settings{.norm = Switch::on}, Settings{.route = Switch::on},
          Settings{.norm = Switch::on, .route = Switch::on},
          Settings{.norm = Switch::automatic, .route = Switch::automatic, .two_lanes = true}}) {
      expect_same(run(GetParam(), layout, settings), apart);
    }
    if (!config.moe) continue;
    expect_same(run(GetParam(), layout,
                    {.norm = Switch::on, .route = Switch::on, .two_lanes = true, .heat = true}),
                apart);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, FusedOpsTest,
                         ::testing::Values("glm4_moe", "deepseek_v2", "deepseek_v3", "qwen2",
                                           "qwen3_moe", "mixtral"),
                         [](const auto& info) { return info.param; });

// How many ops of each kind a step of `rows` has.
std::map<std::string_view, int> kinds(const std::string& golden, int32_t rows,
                                      const Settings& settings, passes::Decisions& why) {
  const model::ModelOptions options{
      .max_rows = {.decode = 512, .prefill = 0}, .page_size = 16, .num_blocks = 8, .max_blocks = 4};
  const model::DecoderModel model(model::load_config(golden_folder(golden)).value(), options);
  const layers::RowCounts counts{.decode = rows};
  const passes::PassOptions passes = options_of(settings);
  flow::Program program = model.build({counts, counts}).value();
  const auto context = steps::pass_context(model, {counts, counts}, passes, why);
  program =
      passes::fuse_norm(std::move(program), passes.of<passes::FuseNormOptions>(), context).value();
  program = passes::fuse_route(std::move(program), passes.of<passes::FuseRouteOptions>(), context)
                .value();
  std::map<std::string_view, int> found;
  for (const flow::Op& op : program.ops) ++found[op.kind().name];
  return found;
}

// Per layer: the norm before attention is the product's, the sum behind it the other product's, and
// all from the other norm to the permutation is one op.
TEST(FusedOpsProgramTest, FewRowsLeaveNoNormAndNoRouting) {
  passes::Decisions why;
  const Settings automatic{.norm = Switch::automatic, .route = Switch::automatic};
  auto found = kinds("qwen3_moe", 8, automatic, why);
  const int layers = found["route_experts"];
  EXPECT_GT(layers, 0);
  EXPECT_EQ(found["route"], 0);
  EXPECT_EQ(found["permute"], 0);
  EXPECT_EQ(found["rms_norm"], 2 * layers);  // of heads
  EXPECT_EQ(found["add_rms_norm"], 0);
  EXPECT_EQ(found["add"], layers);  // behind the experts
  ASSERT_EQ(why.size(), 2u);
  EXPECT_EQ(why[0].choice, "on");
  EXPECT_EQ(why[1].choice, "on");
  EXPECT_LT(why[0].alternatives[1].us, why[0].alternatives[0].us);
  EXPECT_LT(why[1].alternatives[1].us, why[1].alternatives[0].us);
}

TEST(FusedOpsProgramTest, ManyRowsFuseSumsWithNormsAlone) {
  passes::Decisions why;
  const Settings automatic{.norm = Switch::automatic, .route = Switch::automatic};
  auto found = kinds("qwen3_moe", 256, automatic, why);
  const int layers = found["route"];
  EXPECT_EQ(found["route_experts"], 0);
  EXPECT_EQ(found["add_rms_norm"], 2 * layers - 1);  // the last layer's sum meets the head's gather
  EXPECT_EQ(found["add"], 1);
  EXPECT_EQ(why[1].choice, "off");
  EXPECT_EQ(why[1].reason, "auto: 256 rows, above the limit of 16");
}

}  // namespace
}  // namespace braid::testing
