// The two forms of latent attention, end to end: keys and values expanded from the latents, and
// the projections absorbed into query and output.
#include <gtest/gtest.h>

#include "support/prompt.h"

namespace braid::testing {
namespace {

using kernels::MlaForm;

std::vector<TokenRecord> run(const std::string& golden, MlaForm form) {
  const std::vector<int32_t> prompt = golden_ids(golden, "input_ids");
  start::EngineOptions options = prompt_options(prompt.size());
  options.worker.model.mla_form = form;
  return run_prompt(*open_engine(golden_folder(golden), options), prompt);
}

class MlaFormsTest : public ::testing::TestWithParam<std::string> {};

TEST_P(MlaFormsTest, AgreeAndMatchTheReference) {
  const std::vector<float> reference = golden_floats(GetParam(), "logits");
  const std::vector<float> absorbed = logits_of(run(GetParam(), MlaForm::absorbed));
  const std::vector<float> expanded = logits_of(run(GetParam(), MlaForm::expanded));
  EXPECT_LE(largest_difference(absorbed, reference), 1e-4f);
  EXPECT_LE(largest_difference(expanded, reference), 1e-4f);
  const double error = relative_error(expanded, absorbed);
  EXPECT_LE(error, 1e-5);
  EXPECT_GT(error, 0);  // they are two computations, not one
  RecordProperty("relative_error", fmt::format("{}", error));
}

// Decode steps read what prefill steps of either form left in the cache.
TEST_P(MlaFormsTest, GiveTheSameGreedyContinuation) {
  const std::vector<int32_t> expected = golden_ids(GetParam(), "greedy");
  const std::vector<int32_t> prompt = golden_ids(GetParam(), "input_ids");
  start::EngineOptions options{
      .context_length = 128, .max_running = 1, .chunked_prefill_size = 32, .page_size = 16};
  options.worker.model.mla_form = MlaForm::expanded;
  const auto engine = open_engine(golden_folder(GetParam()), options);
  const auto request =
      engine->submit({.prompt = prompt, .max_tokens = static_cast<int32_t>(expected.size())});
  EXPECT_EQ(run_to_end(*engine)[request.value()], expected);
}

INSTANTIATE_TEST_SUITE_P(Models, MlaFormsTest, ::testing::Values("deepseek_v2", "deepseek_v3"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace braid::testing
