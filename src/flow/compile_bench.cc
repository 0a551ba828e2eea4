// What a new StepShape costs: compile and the rank's own check of a MoE decoder of 64 layers on two
// lanes. The bar is 5 ms for both together.
#include <benchmark/benchmark.h>

#include "flow/check/check.h"
#include "flow/compile.h"
#include "flow/test_kinds.h"

namespace braid::flow {
namespace {

using testing::Draft;

constexpr int64_t kRows = 64;
constexpr int64_t kHidden = 256;  // bytes of a row; nothing depends on it

// 20 ops: attention, router, routed experts on lane compute, the shared expert on lane aux.
void add_layer(Draft& draft, int32_t layer, Value x, const std::vector<Value>& inputs) {
  const auto buffer = [&](std::string_view label) { return draft.step(label, kRows, kHidden); };
  const auto weight = [&] { return draft.weight("weight", 1000 + layer, kRows); };
  const auto emit = [&](Role role, Lane lane, testing::Operands operands) {
    operands.in.push_back(weight());
    draft.op(lane, operands, {layer, role}, 1024);
  };
  const auto compute = Lane::compute;
  const Value positions = inputs[0], slots = inputs[1], table = inputs[2], heat = inputs[3];
  const Value cache = draft.carried("kv_cache", 100 + layer, 4096);

  const Value h = buffer("h"), qkv = buffer("qkv"), q = buffer("q"), attended = buffer("attended");
  emit(Role::attention, compute, {.out = {h}, .in = {x}});
  emit(Role::attention, compute, {.out = {qkv}, .in = {h}});
  emit(Role::attention, compute, {.inout = {qkv}, .in = {positions}});
  emit(Role::attention, compute, {.inout = {cache}, .in = {qkv, slots}});
  emit(Role::attention, compute, {.out = {q}, .in = {qkv}});
  emit(Role::attention, compute, {.out = {attended}, .in = {q, cache, table}});
  emit(Role::attention, compute, {.inout = {x}, .in = {attended}});

  const Value g = buffer("g"), logits = buffer("logits"), ids = buffer("ids");
  const Value permuted = buffer("permuted"), offsets = draft.step("offsets", 9, 4);
  const Value up = buffer("up"), acted = buffer("acted"), down = buffer("down"), y = buffer("y");
  emit(Role::mlp, compute, {.out = {g}, .in = {x}});
  emit(Role::router, compute, {.out = {logits}, .in = {g}});
  emit(Role::router, compute,
       {.inout = {draft.rows(heat, layer, 1)}, .out = {ids}, .in = {logits, slots}});
  emit(Role::experts, compute, {.out = {permuted, offsets}, .in = {g, ids}});
  emit(Role::experts, compute, {.out = {up}, .in = {permuted, offsets}});
  emit(Role::experts, compute, {.out = {acted}, .in = {up, offsets}});
  emit(Role::experts, compute, {.out = {down}, .in = {acted, offsets}});
  emit(Role::experts, compute, {.out = {y}, .in = {down, ids}});

  const Value gate = buffer("shared_up"), silu = buffer("shared_act"), shared = buffer("shared");
  emit(Role::shared_expert, Lane::aux, {.out = {gate}, .in = {g}});
  emit(Role::shared_expert, Lane::aux, {.out = {silu}, .in = {gate}});
  emit(Role::shared_expert, Lane::aux, {.out = {shared}, .in = {silu}});
  emit(Role::residual, compute, {.inout = {y}, .in = {shared}});
  emit(Role::residual, compute, {.inout = {x}, .in = {y}});
}

Program decoder(int32_t layers) {
  Draft draft;
  const std::vector<Value> inputs = {draft.carried("positions", 0), draft.carried("kv_slots", 1),
                                     draft.carried("block_table", 2),
                                     draft.carried("heat", 3, layers, 2)};
  const Value x = draft.step("x", kRows, kHidden);
  draft.op(Lane::compute, {.out = {x}, .in = {inputs[0]}});
  for (int32_t layer = 0; layer < layers; ++layer) add_layer(draft, layer, x, inputs);
  const Value sampled = draft.carried("sampled", 4, kRows, 2);
  draft.op(Lane::compute, {.out = {sampled}, .in = {x}});
  return std::move(draft.program);
}

int64_t scratch_of(const Op& op, std::span<const Type>) {
  return op.desc.as<testing::Mix>().scratch_bytes;
}

void compile_only(benchmark::State& state) {
  const Program program = decoder(static_cast<int32_t>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(compile(program, scratch_of));
  state.counters["ops"] = static_cast<double>(program.ops.size());
}

void check_only(benchmark::State& state) {
  const Schedule schedule = *compile(decoder(static_cast<int32_t>(state.range(0))), scratch_of);
  int64_t pairs = 0;
  for (auto _ : state) pairs = check_schedule(schedule).value().pairs;
  state.counters["pairs"] = static_cast<double>(pairs);
  state.counters["workspace KiB"] = static_cast<double>(schedule.workspace_bytes) / 1024;
}

void compile_and_check(benchmark::State& state) {
  const Program program = decoder(static_cast<int32_t>(state.range(0)));
  for (auto _ : state) {
    const Schedule schedule = *compile(program, scratch_of);
    BRAID_CHECK(check_schedule(schedule).ok());
  }
}

BENCHMARK(compile_only)->Arg(4)->Arg(64)->Unit(benchmark::kMicrosecond);
BENCHMARK(check_only)->Arg(4)->Arg(64)->Unit(benchmark::kMicrosecond);
BENCHMARK(compile_and_check)->Arg(4)->Arg(64)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace braid::flow
