// Rows quantized on their way to the experts: what it costs in accuracy, on models whose numbers
// are known; that all ranks must do it alike; that lanes and batches change no bit of it.
#include <gtest/gtest.h>

#include <cmath>

#include "base/json.h"
#include "lab/evaluate.h"
#include "lab/verification.h"
#include "model/config.h"
#include "passes/dual_stream.h"
#include "passes/quantize_dispatch.h"
#include "ranks/dispatch_error.h"
#include "support/models.h"
#include "support/tap.h"
#include "text/tokenizer.h"

namespace braid::testing {
namespace {

using passes::DispatchDtype;

start::EngineOptions options_of(const layout::LayoutOptions& layout, DispatchDtype dtype) {
  start::EngineOptions options{.layout = layout,
                               .context_length = 256,
                               .max_running = 4,
                               .chunked_prefill_size = 128,
                               .page_size = 16};
  options.worker.model.probes.all_logits = true;
  options.worker.passes.of<passes::QuantizeDispatchOptions>().dtype = dtype;
  return options;
}

double relative_error(const std::vector<float>& got, const std::vector<float>& expected) {
  double error = 0, squares = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double want = static_cast<double>(expected[i]);
    error += std::pow(static_cast<double>(got[i]) - want, 2);
    squares += want * want;
  }
  return std::sqrt(error / squares);
}

class QuantizedGoldenTest : public ::testing::TestWithParam<std::string> {};

// The references' logits with the references' experts (a near tie could go to others), within what
// a few hundredths (nvfp4: tenths) of error of the experts' input leave of them.
TEST_P(QuantizedGoldenTest, LogitsAreNearTheReference) {
  const std::string& name = GetParam();
  const std::vector<int32_t> ids = golden_ids(name, "input_ids");
  const model::ModelConfig config = model::load_config(golden_folder(name)).value();
  const lab::ForcedRouting routing =
      lab::read_forced_routing(golden_folder(name) + "/golden.safetensors", config, std::ssize(ids))
          .value();
  for (const layout::LayoutOptions layout :
       {layout::LayoutOptions{.dp = 2}, {.tp = 2, .dp = 2}, {.tp = 1, .ep = 2, .dp = 4}}) {
    for (const auto& [dtype, most] :
         {std::pair{DispatchDtype::fp8, 0.04}, {DispatchDtype::nvfp4, 0.15}}) {
      start::EngineOptions options = options_of(layout, dtype);
      options.worker.model.probes.force_routing = true;
      const auto engine = open_engine(golden_folder(name), options);
      const lab::Logits logits = lab::evaluate_logits(*engine, ids, &routing).value();
      const double error = relative_error(logits.values, golden_floats(name, "logits"));
      EXPECT_LT(error, most) << "dp " << layout.dp;
      EXPECT_GT(error, 1e-4) << "dp " << layout.dp;  // as if nothing were quantized
      const auto layers = ranks::dispatch_errors(engine->ranks()).value();
      ASSERT_EQ(std::ssize(layers), engine->config().num_layers);
      for (int64_t layer = 0; layer < engine->config().num_layers; ++layer) {
        const double of_layer = layers[static_cast<size_t>(layer)].relative();
        const bool fp8 = dtype == DispatchDtype::fp8;
        EXPECT_EQ(of_layer > 0, engine->config().is_moe(layer)) << layer;
        EXPECT_LT(of_layer, fp8 ? 0.03 : 0.12) << layer;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Unquantized, QuantizedGoldenTest,
                         ::testing::Values("glm4_moe", "deepseek_v2", "deepseek_v3", "qwen3_moe",
                                           "mixtral"),
                         [](const auto& info) { return info.param; });

struct Scored {
  double perplexity;
  ranks::DispatchError error;
};

Scored score(const std::vector<int32_t>& ids, DispatchDtype dtype) {
  start::EngineOptions options = options_of({.dp = 2}, dtype);
  options.chunked_prefill_size = 512;
  const auto engine = open_engine(fairytale_folder(), options);
  const auto likelihood = lab::evaluate_likelihood(*engine, ids, 256).value();
  return {likelihood.perplexity(),
          ranks::total_of(ranks::dispatch_errors(engine->ranks()).value())};
}

TEST(QuantizedFairytaleTest, ErrorsAndPerplexityAreThoseMeasured) {
  const auto tokenizer = text::Tokenizer::load(fairytale_folder()).value();
  const std::string tale = read_file(BRAID_SOURCE_DIR "/tests/data/tales/three_lamps.txt").value();
  const std::vector<int32_t> ids = tokenizer.encode(tale, false).value();
  const Scored plain = score(ids, DispatchDtype::automatic);  // no prices: unquantized
  EXPECT_EQ(plain.error.squares, 0);
  const Scored fp8 = score(ids, DispatchDtype::fp8);
  EXPECT_NEAR(fp8.error.relative(), 0.026, 0.0026);
  EXPECT_NEAR(fp8.perplexity / plain.perplexity, 1, 0.001);
  const Scored nvfp4 = score(ids, DispatchDtype::nvfp4);
  EXPECT_NEAR(nvfp4.error.relative(), 0.095, 0.0095);
  EXPECT_NEAR(nvfp4.perplexity / plain.perplexity, 1, 0.01);
  EXPECT_NE(fp8.perplexity, plain.perplexity);
  EXPECT_NE(nvfp4.perplexity, fp8.perplexity);
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

TEST(QuantizedDispatchTest, DelaysAndLanesChangeNoBit) {
  for (const auto& [layout, dtype] :
       {std::pair{layout::LayoutOptions{.tp = 2, .dp = 2}, DispatchDtype::fp8},
        {layout::LayoutOptions{.dp = 4}, DispatchDtype::nvfp4}}) {
    start::EngineOptions options = options_of(layout, dtype);
    options.worker.passes.of<passes::DualStreamOptions>().mode = passes::Switch::on;
    const auto engine = open_dummy(golden_folder("glm4_moe"), options);
    const auto recording = lab::StepRecording::record(*engine, some_requests());
    ASSERT_TRUE(recording.ok()) << recording.status().to_string();
    for (const uint64_t seed : {1u, 2u, 3u}) {
      const Status same = recording->replay(engine->ranks(), {.seed = seed, .longest = 100});
      EXPECT_TRUE(same.ok()) << same.to_string();
    }
  }
}

TEST(QuantizedDispatchTest, ARequestsAnswerDependsOnItAlone) {
  const auto engine =
      open_engine(golden_folder("glm4_moe"), options_of({.dp = 2}, DispatchDtype::fp8));
  Tap tap(*engine);
  const std::vector<engine::Request> requests = some_requests();
  std::vector<engine::RequestId> together;
  for (const engine::Request& request : requests) {
    together.push_back(engine->submit(request).value());
  }
  run_to_end(*engine);
  for (size_t i = 0; i < requests.size(); ++i) {
    const auto alone = engine->submit(requests[i]).value();
    run_to_end(*engine);
    const auto &of_all = tap.of(together[i]), &of_one = tap.of(alone);
    ASSERT_EQ(of_all.size(), of_one.size());
    for (size_t t = 0; t < of_all.size(); ++t) EXPECT_EQ(of_all[t].logits, of_one[t].logits);
  }
}

// Compiles all ranks' steps of one dtype.
class Compiler {
 public:
  explicit Compiler(DispatchDtype dtype)
      : compiler_(model::load_config(golden_folder("glm4_moe")).value(), options(dtype)) {}

  lab::StepCompiler* operator->() { return &compiler_; }

  static ranks::WorkerOptions options(DispatchDtype dtype) {
    const auto config = model::load_config(golden_folder("glm4_moe")).value();
    ranks::WorkerOptions options;
    options.model = {.max_rows = {4, 64}, .num_blocks = 64, .max_blocks = 64};
    options.model.layout =
        layout::make_layout(model::layout_sizes(config), {.tp = 2, .dp = 2}).value();
    options.passes.of<passes::QuantizeDispatchOptions>().dtype = dtype;
    options.passes.of<passes::DualStreamOptions>().mode = passes::Switch::on;
    return options;
  }

 private:
  lab::StepCompiler compiler_;
};

TEST(QuantizedDispatchTest, GroupsWithDifferentRowsMeet) {
  Compiler compiler(DispatchDtype::nvfp4);
  for (const auto& shapes : lab::unequal_shapes({4, 64}, 2)) {
    const auto steps = compiler->compile(shapes);
    ASSERT_TRUE(steps.ok()) << steps.status().to_string();
    const auto joint = compiler->check_joint(*steps);
    EXPECT_TRUE(joint.ok()) << joint.status().to_string();
    for (const auto& step : *steps) EXPECT_EQ(step->decisions[1].choice, "nvfp4");
  }
}

TEST(QuantizedDispatchTest, ARankThatDoesOtherwiseIsFoundOut) {
  for (const DispatchDtype other : {DispatchDtype::unquantized, DispatchDtype::nvfp4}) {
    Compiler most(DispatchDtype::fp8), mutant(other);
    const auto shapes = lab::unequal_shapes({4, 64}, 2).front();
    auto steps = most->compile(shapes).value();
    auto wrong = mutant->compile(shapes).value();
    steps[3] = std::move(wrong[3]);
    const auto joint = most->check_joint(steps);
    ASSERT_FALSE(joint.ok());
    EXPECT_NE(joint.status().to_string().find("all_gather_v"), std::string::npos)
        << joint.status().to_string();
  }
}

}  // namespace
}  // namespace braid::testing
