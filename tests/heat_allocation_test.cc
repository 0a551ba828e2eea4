// The ops of a step allocate nothing, those that count heat and copy it neither. (To launch a run
// on lanes takes some, however many ops it has.)
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "support/models.h"

// Sanitizers have allocation functions of their own.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

namespace {
std::atomic<int64_t> allocations{0};
}

void* operator new(std::size_t bytes) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* data = std::malloc(bytes == 0 ? 1 : bytes)) return data;
  throw std::bad_alloc();
}
void operator delete(void* data) noexcept { std::free(data); }
void operator delete(void* data, std::size_t) noexcept { std::free(data); }

namespace braid::testing {
namespace {

TEST(HeatAllocationTest, OpsAllocateNothing) {
  for (const passes::Switch heat : {passes::Switch::off, passes::Switch::on}) {
    engine::EngineOptions options{
        .context_length = 32, .max_running = 2, .chunked_prefill_size = 16, .page_size = 16};
    options.worker.passes.heat.mode = heat;
    options.worker.serial = true;
    const auto engine = open_engine(golden_folder("glm4_moe"), options);
    EXPECT_TRUE(engine->submit({.prompt = {1, 2, 3}, .max_tokens = 20}).ok());
    for (int step = 0; step < 4; ++step) EXPECT_TRUE(engine->step().ok());
    const layers::StepShape shape{.own = {1, 0}, .group = {1, 0}};
    const int64_t before = allocations.load();
    for (int64_t step = 5; step < 10; ++step) {
      EXPECT_TRUE(engine->worker().run(shape, step).ok());
    }
    EXPECT_EQ(allocations.load() - before, 0);
    const auto one = std::make_unique<std::string>("seen");
    EXPECT_EQ(allocations.load() - before, 1);
  }
}

}  // namespace
}  // namespace braid::testing

#endif
