// A step allocates nothing once its like has run, from its launch to its end on all ranks: whatever
// the layout and the passes, on lanes and op by op.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "passes/chunk_collectives.h"
#include "passes/count_heat.h"
#include "passes/dual_stream.h"
#include "passes/quantize_dispatch.h"
#include "support/models.h"

// Sanitizers have allocation functions of their own.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

namespace {
std::atomic<int64_t> allocations{0};
}

// Not inlined: a compiler that sees free() behind new, or delete behind malloc(), warns.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* data = std::malloc(bytes == 0 ? 1 : bytes)) return data;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* data) noexcept { std::free(data); }
[[gnu::noinline]] void operator delete(void* data, std::size_t) noexcept { std::free(data); }

namespace braid::testing {
namespace {

struct Case {
  const char* name;
  layout::LayoutOptions layout;
  steps::PassOptions passes;
  bool serial = false;
  layers::DispatchChoice dispatch = layers::DispatchChoice::automatic;
};

steps::PassOptions all_passes() {
  steps::PassOptions passes;
  passes.of<passes::DualStreamOptions>().mode = passes::Switch::on;
  passes.of<passes::ChunkOptions>() = {.chunks = 2, .continued = true};
  passes.of<passes::HeatOptions>().mode = passes::Switch::on;
  return passes;
}

// How many there are while the last step runs again and again, with the inputs that it had.
int64_t allocations_of_again(engine::Engine& engine, std::span<const layers::StepShape> shapes) {
  int64_t before = 0;
  for (int64_t again = 1; again <= 12; ++again) {
    if (again == 5) before = allocations.load();
    const int64_t step = engine.steps() + 2 * again;  // the same copies of what has two
    EXPECT_TRUE(engine.ranks().run(shapes, step).ok());
  }
  return allocations.load() - before;
}

TEST(StepAllocationTest, NothingOnceItsLikeHasRun) {
  steps::PassOptions fp8 = all_passes();
  fp8.of<passes::QuantizeDispatchOptions>().dtype = passes::DispatchDtype::fp8;
  const Case cases[] = {
      {"one rank", {}, {}},
      {"one rank, op by op, heat", {}, all_passes(), true},
      {"one rank, all passes", {}, all_passes()},
      {"tp 2, all passes", {.tp = 2}, all_passes()},
      {"dp 2 x tp 2, fp8", {.tp = 2, .dp = 2}, fp8},
      {"dp 2, sent", {.ep = 2, .dp = 2}, all_passes(), false, layers::DispatchChoice::all_to_all},
  };
  for (const Case& of : cases) {
    start::EngineOptions options{
        .context_length = 64, .max_running = 2, .chunked_prefill_size = 32, .page_size = 16};
    options.layout = of.layout;
    options.worker.passes = of.passes;
    options.worker.model.dispatch = of.dispatch;
    options.worker.serial = of.serial;
    const auto engine = open_engine(golden_folder("glm4_moe"), options);
    std::vector<layers::StepShape> shapes;
    engine->set_observer([&](int64_t, std::span<const engine::GroupStep> steps) {
      shapes.clear();
      for (const engine::GroupStep& step : steps) shapes.push_back(step.shape);
    });
    EXPECT_TRUE(engine->submit({.prompt = std::vector<int32_t>(32, 7), .max_tokens = 20}).ok());
    EXPECT_TRUE(engine->step().ok());
    EXPECT_EQ(allocations_of_again(*engine, shapes), 0) << of.name << ", prefill";
    for (int step = 0; step < 4; ++step) EXPECT_TRUE(engine->step().ok());
    EXPECT_EQ(allocations_of_again(*engine, shapes), 0) << of.name << ", decode";
  }
  const int64_t before = allocations.load();
  const auto one = std::make_unique<std::string>("seen");
  EXPECT_EQ(allocations.load() - before, 1);
}

}  // namespace
}  // namespace braid::testing

#endif
