// fuse_decode_attention on real models: which ops become one, and the same bits on the CPU.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <functional>

#include "flow/check/check.h"
#include "flow/compile.h"
#include "model/config.h"
#include "passes/fuse_decode_attention.h"
#include "steps/schedules.h"
#include "support/models.h"
#include "support/tap.h"

namespace braid::testing {
namespace {

using passes::Switch;

struct Fused {
  flow::Program program;
  passes::Decision why;

  int64_t count(std::string_view kind) const {
    return std::count_if(program.ops.begin(), program.ops.end(),
                         [&](const flow::Op& op) { return op.kind().name == kind; });
  }
};

Fused fuse(const std::string& name, layers::RowCounts rows, Switch mode,
           const std::function<void(flow::Program&)>& change = {}) {
  const model::DecoderModel model(
      model::load_config(golden_folder(name)).value(),
      {.max_rows = {.decode = 8, .prefill = 8}, .page_size = 16, .num_blocks = 8, .max_blocks = 4});
  flow::Program program = model.build({rows, rows}).value();
  if (change) change(program);
  const passes::PassOptions defaults;
  passes::Decisions why;
  const auto context = steps::pass_context(model, {rows, rows}, defaults, why);
  Fused fused{passes::fuse_decode_attention(std::move(program), {mode}, context).value(), {}};
  fused.why = why.at(0);
  return fused;
}

constexpr layers::RowCounts kDecode = {.decode = 4};

// Layers with norms of heads, with neither norm nor bias, with a bias; rotary in part.
TEST(FuseAttentionTest, OneOpALayerAndOnePlanAStep) {
  for (const char* name : {"qwen3_moe", "mixtral", "qwen2", "glm4_moe"}) {
    const Fused off = fuse(name, kDecode, Switch::off);
    const Fused on = fuse(name, kDecode, Switch::automatic);
    const int64_t num_layers = off.count("attention");
    EXPECT_GT(num_layers, 1) << name;
    EXPECT_EQ(off.count("attention_plan"), 1) << name;
    EXPECT_EQ(on.count("attention_plan"), 0) << name;
    EXPECT_EQ(on.count("decode_plan"), 1) << name;
    EXPECT_EQ(on.count("decode_attention"), num_layers) << name;
    for (const char* gone : {"attention", "kv_write", "rotary"}) {
      EXPECT_EQ(on.count(gone), 0) << name << " " << gone;
    }
    EXPECT_EQ(on.why.choice, "on") << name;
    auto schedule = flow::compile(flow::Program(on.program));
    ASSERT_TRUE(schedule.ok()) << name << ": " << schedule.status().to_string();
    EXPECT_TRUE(flow::check_schedule(schedule.value()).ok()) << name;
  }
  EXPECT_EQ(fuse("qwen3_moe", kDecode, Switch::off).count("rms_norm") -
                fuse("qwen3_moe", kDecode, Switch::on).count("rms_norm"),
            2 * fuse("qwen3_moe", kDecode, Switch::off).count("attention"));
}

TEST(FuseAttentionTest, StaysWhereItMust) {
  const Fused mixed = fuse("qwen3_moe", {.decode = 4, .prefill = 8}, Switch::on);
  EXPECT_EQ(mixed.count("decode_attention"), 0);
  EXPECT_EQ(mixed.why.choice, "off");
  EXPECT_NE(mixed.why.reason.find("prefill"), std::string::npos);

  const Fused latents = fuse("deepseek_v2", kDecode, Switch::on);
  EXPECT_EQ(latents.count("decode_attention"), 0);
  EXPECT_EQ(latents.why.choice, "off");

  // One layer writes its keys and values on another lane: something stands beside them.
  const Fused moved = fuse("qwen3_moe", kDecode, Switch::on, [](flow::Program& program) {
    const auto write = std::find_if(program.ops.rbegin(), program.ops.rend(),
                                    [](const auto& op) { return op.kind().name == "kv_write"; });
    write->lane = flow::Lane::aux;
  });
  EXPECT_EQ(moved.count("decode_attention"), 0);
  EXPECT_NE(moved.why.reason.find("has other ops"), std::string::npos) << moved.why.reason;
}

// Logits of a prompt and the tokens after it.
std::vector<float> logits_with(const std::string& folder, Switch mode) {
  start::EngineOptions options{
      .context_length = 64, .max_running = 4, .chunked_prefill_size = 32, .page_size = 4};
  options.worker.model.probes.all_logits = true;
  options.worker.passes.of<passes::FuseAttentionOptions>().mode = mode;
  const auto engine = open_engine(folder, options);
  Tap tap(*engine);
  std::vector<engine::RequestId> requests;
  for (int32_t length : {40, 3, 17}) {
    std::vector<int32_t> prompt;
    for (int32_t i = 0; i < length; ++i) prompt.push_back((i * 37 + length) % 512);
    requests.push_back(engine->submit({.prompt = prompt, .max_tokens = 8}).value());
  }
  run_to_end(*engine);
  std::vector<float> all;
  for (const engine::RequestId request : requests) {
    for (const TokenRecord& record : tap.of(request)) {
      all.insert(all.end(), record.logits.begin(), record.logits.end());
    }
  }
  return all;
}

TEST(FuseAttentionTest, OnAndOffAreBitwiseEqualOnTheCpu) {
  for (const char* name : {"qwen3_moe", "mixtral", "qwen2", "glm4_moe"}) {
    const std::string folder = golden_folder(name);
    const std::vector<float> off = logits_with(folder, Switch::off);
    const std::vector<float> on = logits_with(folder, Switch::on);
    ASSERT_EQ(on.size(), off.size());
    EXPECT_GT(on.size(), 0u);
    EXPECT_EQ(0, std::memcmp(on.data(), off.data(), on.size() * sizeof(float))) << name;
  }
}

}  // namespace
}  // namespace braid::testing
