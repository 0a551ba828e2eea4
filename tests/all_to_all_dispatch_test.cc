// Rows sent to the ranks of their experts alone: the same bits as a gather and a scattered sum,
// whatever rows there are and wherever they go, on lanes, with delays, and quantized.
#include <gtest/gtest.h>

#include "lab/evaluate.h"
#include "lab/verification.h"
#include "model/config.h"
#include "passes/dual_stream.h"
#include "passes/quantize_dispatch.h"
#include "support/models.h"
#include "support/tap.h"

namespace braid::testing {
namespace {

using layers::DispatchChoice;
using passes::DispatchDtype;

struct Setting {
  int32_t dp = 2;
  Format dtype = Format::f32;
  DispatchDtype payload = DispatchDtype::unquantized;
};

start::EngineOptions options_of(const Setting& setting, DispatchChoice dispatch) {
  start::EngineOptions options{.layout = {.dp = setting.dp},
                               .context_length = 128,
                               .max_running = 4,
                               .chunked_prefill_size = 64,
                               .page_size = 16};
  options.worker.model.dtype = setting.dtype;
  options.worker.model.probes.all_logits = true;
  options.worker.model.dispatch = dispatch;
  options.worker.passes.of<passes::QuantizeDispatchOptions>().dtype = setting.payload;
  options.worker.passes.of<passes::DualStreamOptions>().mode = passes::Switch::on;
  return options;
}

std::vector<engine::Request> some_requests() {
  std::vector<engine::Request> requests;
  for (const int32_t tokens : {5, 40, 1, 17, 9}) {
    engine::Request request{.prompt = {}, .max_tokens = 2 + tokens % 5};
    for (int32_t i = 0; i < tokens; ++i) request.prompt.push_back((7 * tokens + 3 * i) % 512);
    requests.push_back(std::move(request));
  }
  return requests;
}

// Logits of every row of every request. Requests come in one after the other, so that groups are
// idle at times, in prefill while others decode, and have rows of padding.
std::vector<std::vector<float>> logits_of(const std::string& folder, const Setting& setting,
                                          DispatchChoice dispatch) {
  const auto engine = open_engine(folder, options_of(setting, dispatch));
  Tap tap(*engine);
  std::vector<engine::RequestId> ids;
  for (const engine::Request& request : some_requests()) {
    ids.push_back(engine->submit(request).value());
    EXPECT_TRUE(engine->step().ok());
  }
  run_to_end(*engine);
  std::vector<std::vector<float>> logits;
  for (const engine::RequestId id : ids) {
    for (const TokenRecord& record : tap.of(id)) logits.push_back(record.logits);
  }
  return logits;
}

void expect_equal_to_gather(const std::string& folder, const Setting& setting) {
  SCOPED_TRACE(fmt::format("dp {}, {}", setting.dp, name_of(setting.dtype)));
  const auto gathered = logits_of(folder, setting, DispatchChoice::gather);
  const auto sent = logits_of(folder, setting, DispatchChoice::all_to_all);
  ASSERT_EQ(sent.size(), gathered.size());
  ASSERT_GE(sent.size(), 72u);
  for (size_t row = 0; row < sent.size(); ++row) ASSERT_EQ(sent[row], gathered[row]) << row;
}

class AllToAllGoldenTest : public ::testing::TestWithParam<std::string> {};

TEST_P(AllToAllGoldenTest, BitsAreThoseOfAGather) {
  for (const int32_t dp : {2, 4}) {
    for (const Format dtype : {Format::f32, Format::bf16}) {
      expect_equal_to_gather(golden_folder(GetParam()), {.dp = dp, .dtype = dtype});
    }
  }
}

TEST_P(AllToAllGoldenTest, LogitsAreTheReferences) {
  const std::string& name = GetParam();
  const auto engine =
      open_engine(golden_folder(name), options_of({.dp = 4}, DispatchChoice::all_to_all));
  Tap tap(*engine);
  const auto request =
      engine->submit({.prompt = golden_ids(name, "input_ids"), .max_tokens = 1}).value();
  run_to_end(*engine);
  const std::vector<float> expected = golden_floats(name, "logits");
  const size_t vocab = tap.of(request).front().logits.size();
  for (size_t i = 0; i < expected.size(); ++i) {
    ASSERT_NEAR(tap.of(request)[i / vocab].logits[i % vocab], expected[i], 1e-4) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Unquantized, AllToAllGoldenTest,
                         ::testing::Values("glm4_moe", "deepseek_v2", "deepseek_v3", "qwen3_moe",
                                           "mixtral"),
                         [](const auto& info) { return info.param; });

TEST(AllToAllDispatchTest, FairytaleHasTheBitsOfAGather) {
  for (const int32_t dp : {2, 4}) {
    expect_equal_to_gather(fairytale_folder(), {.dp = dp, .dtype = Format::bf16});
  }
}

TEST(AllToAllDispatchTest, QuantizedRowsHaveTheBitsOfAQuantizedGather) {
  for (const DispatchDtype payload : {DispatchDtype::fp8, DispatchDtype::nvfp4}) {
    expect_equal_to_gather(golden_folder("glm4_moe"),
                           {.dp = 4, .dtype = Format::bf16, .payload = payload});
  }
}

// All rows to the experts of one rank, of two ranks, and of the ranks in turns.
TEST(AllToAllDispatchTest, SkewedRowsHaveTheBitsOfAGather) {
  const std::vector<int32_t> ids = golden_ids("glm4_moe", "input_ids");
  const auto run = [&](DispatchChoice dispatch, int64_t first_expert, int64_t step) {
    start::EngineOptions options = options_of({.dp = 4, .dtype = Format::bf16}, dispatch);
    options.worker.model.probes.force_routing = true;
    const auto engine = open_engine(golden_folder("glm4_moe"), options);
    lab::ForcedRouting forced;
    for (int64_t layer = 0; layer < engine->config().num_layers; ++layer) {
      if (!engine->config().is_moe(layer)) continue;
      for (size_t i = 0; i < 4 * ids.size(); ++i) {
        forced[layer].push_back((first_expert + step * static_cast<int64_t>(i)) % 16 / 4 * 4 +
                                static_cast<int64_t>(i) % 4);
      }
    }
    return lab::evaluate_logits(*engine, ids, &forced).value().values;
  };
  for (const auto& [first, step] : {std::pair{0, 0}, {12, 0}, {8, 1}}) {
    EXPECT_EQ(run(DispatchChoice::all_to_all, first, step),
              run(DispatchChoice::gather, first, step))
        << first;
  }
}

TEST(AllToAllDispatchTest, DelaysAndLanesChangeNoBit) {
  for (const Setting& setting :
       {Setting{.dp = 2}, Setting{.dp = 4, .dtype = Format::bf16, .payload = DispatchDtype::fp8}}) {
    const auto engine =
        open_dummy(golden_folder("glm4_moe"), options_of(setting, DispatchChoice::all_to_all));
    const auto recording = lab::StepRecording::record(*engine, some_requests());
    ASSERT_TRUE(recording.ok()) << recording.status().to_string();
    for (const uint64_t seed : {1u, 2u, 3u}) {
      const Status same = recording->replay(engine->ranks(), {.seed = seed, .longest = 100});
      EXPECT_TRUE(same.ok()) << same.to_string();
    }
  }
}

ranks::WorkerOptions four_ranks(DispatchChoice dispatch, DispatchDtype payload) {
  ranks::WorkerOptions options;
  options.model = {.max_rows = {4, 64}, .num_blocks = 64, .max_blocks = 64};
  const auto config = model::load_config(golden_folder("glm4_moe")).value();
  options.model.layout = layout::make_layout(model::layout_sizes(config), {.dp = 4}).value();
  options.model.dispatch = dispatch;
  options.passes.of<passes::QuantizeDispatchOptions>().dtype = payload;
  options.passes.of<passes::DualStreamOptions>().mode = passes::Switch::on;
  return options;
}

TEST(AllToAllDispatchTest, RanksWithDifferentRowsMeetAndMutantsDont) {
  const auto config = model::load_config(golden_folder("glm4_moe")).value();
  for (const DispatchDtype payload : {DispatchDtype::unquantized, DispatchDtype::nvfp4}) {
    const lab::StepCompiler compiler(config, four_ranks(DispatchChoice::all_to_all, payload));
    for (const auto& shapes : lab::unequal_shapes({4, 64}, 4)) {
      auto steps = compiler.compile(shapes).value();
      const auto joint = compiler.check_joint(steps);
      ASSERT_TRUE(joint.ok()) << joint.status().to_string();
      for (const auto& step : steps) EXPECT_EQ(step->decisions[0].choice, "all-to-all");
      // One rank gathers while the others send.
      const lab::StepCompiler mutant(config, four_ranks(DispatchChoice::gather, payload));
      steps[2] = std::move(mutant.compile(shapes).value()[2]);
      const auto broken = compiler.check_joint(steps);
      ASSERT_FALSE(broken.ok());
      EXPECT_NE(broken.status().to_string().find("all_gather_v"), std::string::npos)
          << broken.status().to_string();
    }
  }
}

TEST(AllToAllDispatchTest, WhereRanksShareRowsItIsRefused) {
  start::EngineOptions options = options_of({.dp = 2}, DispatchChoice::all_to_all);
  const auto config = model::load_config(golden_folder("glm4_moe")).value();
  for (const layout::LayoutOptions layout :
       {layout::LayoutOptions{.tp = 2, .dp = 2}, {.tp = 1, .ep = 1, .dp = 2}, {.tp = 2}}) {
    options.layout = layout;
    const auto refused = start::resolve(config, options);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().kind(), ErrorKind::usage);
  }
}

}  // namespace
}  // namespace braid::testing
