// How long it takes to plan all layers of a model anew.
#include <benchmark/benchmark.h>

#include "experts/balance.h"
#include "experts/traffic_test_util.h"

namespace braid::experts {
namespace {

// 48 layers of 128 experts on 8 ranks; the argument: redundant slots.
void plan_48_layers_of_128_experts(benchmark::State& state) {
  const auto redundant = static_cast<int32_t>(state.range(0));
  const auto current = ExpertPlacement::standard(make_sizes(48, 128, 8, redundant).value());
  const auto traffic = testing::zipf_traffic({48, 128, 8, 1024, {}}, 1.0, 1);
  const std::vector<double> heat = traffic.heat();
  int64_t moved = 0;
  for (auto _ : state) moved = plan_balance(current, redundant, heat).value().moved_slots;
  state.counters["moved slots"] = static_cast<double>(moved);
}
BENCHMARK(plan_48_layers_of_128_experts)->Arg(0)->Arg(16)->Arg(64)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace braid::experts
