// What a step costs before it runs: compiling and checking a 64-layer model's Program, and finding
// a Schedule that is there already.
#include <benchmark/benchmark.h>

#include "base/json.h"
#include "flow/compile.h"
#include "ops/register_cpu.h"
#include "steps/schedules.h"

namespace braid::steps {
namespace {

constexpr std::string_view kConfig = R"({
  "architectures": ["Glm4MoeForCausalLM"], "hidden_size": 64, "intermediate_size": 64,
  "moe_intermediate_size": 32, "num_hidden_layers": 64, "first_k_dense_replace": 1,
  "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 32, "vocab_size": 128,
  "n_routed_experts": 8, "num_experts_per_tok": 2, "n_shared_experts": 1, "n_group": 1,
  "topk_group": 1, "norm_topk_prob": true, "routed_scaling_factor": 2.5, "rms_norm_eps": 1e-5,
  "max_position_embeddings": 1024, "rope_theta": 10000.0, "partial_rotary_factor": 0.5,
  "attention_bias": true, "use_qk_norm": true, "hidden_act": "silu"})";

model::DecoderModel make_model() {
  const Json json = parse_json(kConfig, "benchmark").value();
  return {model::parse_config(json).value(),
          {.max_rows = {.decode = 8, .prefill = 64},
           .page_size = 16,
           .num_blocks = 16,
           .max_blocks = 8}};
}

const layers::StepShape kDecode{.own = {.decode = 8}, .group = {.decode = 8}};

// Building, dual_stream, compile, and the rank's own check.
void compile_and_check(benchmark::State& state) {
  const model::DecoderModel model = make_model();
  flow::LauncherTable table;
  ops::register_cpu(table);
  size_t ops = 0;
  for (auto _ : state) {
    passes::Decisions why;
    flow::Program program = model.build(kDecode).value();
    program = passes::dual_stream(std::move(program), 8, {}, why).value();
    const auto schedule = flow::compile(std::move(program), table.scratch());
    benchmark::DoNotOptimize(flow::check_schedule(schedule.value()).value());
    ops = schedule->program.ops.size();
  }
  state.counters["ops"] = static_cast<double>(ops);
}
BENCHMARK(compile_and_check)->Unit(benchmark::kMicrosecond);

void cache_hit(benchmark::State& state) {
  model::DecoderModel model = make_model();
  flow::LauncherTable table;
  ops::register_cpu(table);
  std::vector<std::vector<std::byte>> memory;
  for (int32_t i = 0; i < model.residents().size(); ++i) {
    for (int32_t copy = 0; copy < model.residents()[i].copies; ++copy) {
      memory.emplace_back(static_cast<size_t>(model.residents()[i].bytes()));
      model.residents().set_data(i, copy, memory.back().data());
    }
  }
  Schedules schedules(model, table, {});
  const int64_t bytes = schedules.workspace_bytes().value();
  memory.emplace_back(static_cast<size_t>(bytes));
  schedules.bind_to(memory.back().data(), bytes);
  layers::StepShape shape = kDecode;
  for (auto _ : state) {
    benchmark::DoNotOptimize(shape);
    benchmark::DoNotOptimize(schedules.get(shape).value());
  }
}
BENCHMARK(cache_hit)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace braid::steps
