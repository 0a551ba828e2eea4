// Weights on a GPU: made there, or read and sent there, they are the CPU's bit for bit.
#include <gtest/gtest.h>

#include "model/checkpoint_source.h"
#include "model/config.h"
#include "model/dummy_source.h"
#include "model/model_weights.h"
#include "model/rounded_source.h"
#include "ranks/backend.h"
#include "support/models.h"

namespace braid::testing {
namespace {

// The weights of a rank of two along tp, as they lie in a backend's memory.
class RankWeights {
 public:
  RankWeights(const model::ModelConfig& config, Format format, ranks::Backend& backend)
      : backend_(backend) {
    const layout::ModelSizes sizes = model::layout_sizes(config);
    const layout::Shards shards(sizes, layout::make_layout(sizes, {.tp = 2}).value(), 1);
    model::plan_weights(config, format, shards, true, nullptr, residents_, plan_);
    memory_ = flow::allocate(residents_, backend.device(), backend.host()).value();
    for (const device::Memory& memory : memory_) {
      backend.device().fill(memory.data(), 0xa5, memory.bytes());
    }
  }

  Status load(const model::TensorSource& source, int32_t threads) {
    return plan_.load(
        source, residents_,
        {.device = backend_.device(), .kernels = backend_.table(), .threads = threads});
  }

  std::vector<std::vector<std::byte>> bytes() const {
    std::vector<std::vector<std::byte>> all;
    for (const device::Memory& memory : memory_) {
      all.emplace_back(static_cast<size_t>(memory.bytes()));
      backend_.device().download(all.back().data(), memory.data(), memory.bytes());
    }
    return all;
  }

 private:
  ranks::Backend& backend_;
  flow::Residents residents_;
  model::WeightPlan plan_;
  std::vector<device::Memory> memory_;
};

class GpuWeightsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (ranks::gpu_count() == 0) GTEST_SKIP() << "no GPU";
    gpu_ = ranks::make_cuda_backend({}, alone_, {}).value();
    cpu_ = ranks::make_cpu_backend().value();
  }

  void expect_same(const model::ModelConfig& config, const model::TensorSource& source) {
    for (const Format format : {Format::f32, Format::bf16}) {
      RankWeights want(config, format, *cpu_);
      ASSERT_TRUE(want.load(source, 1).ok());
      for (const int32_t threads : {1, 4}) {
        RankWeights got(config, format, *gpu_);
        const Status loaded = got.load(source, threads);
        ASSERT_TRUE(loaded.ok()) << loaded.to_string();
        ASSERT_TRUE(got.bytes() == want.bytes()) << name_of(format) << ", " << threads;
      }
    }
  }

  comm::ControlPlane alone_{-1, 0, 1};
  std::unique_ptr<ranks::Backend> gpu_, cpu_;
};

TEST_F(GpuWeightsTest, MadeUpWeightsAreTheCpus) {
  for (const char* golden : {"qwen3_moe", "glm4_moe", "deepseek_v3", "qwen2"}) {
    SCOPED_TRACE(golden);
    const model::ModelConfig config = model::load_config(golden_folder(golden)).value();
    const model::DummySource source(11);
    expect_same(config, source);
    expect_same(config, model::RoundedSource(source));
  }
}

TEST_F(GpuWeightsTest, CheckpointsAreReadAsOnTheCpu) {
  for (const std::string& folder :
       {golden_folder("qwen3_moe"), golden_folder("glm4_moe_fp8_block"), fairytale_folder()}) {
    SCOPED_TRACE(folder);
    const model::ModelConfig config = model::load_config(folder).value();
    expect_same(config, model::CheckpointSource(model::Checkpoint::open(folder).value(),
                                                config.quantization));
  }
}

}  // namespace
}  // namespace braid::testing
