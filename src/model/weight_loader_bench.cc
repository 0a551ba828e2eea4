// How fast one thread fills the CPU's weight buffers: a MoE layer made up, or read from the page
// cache as it is stored, or widened to float32.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <filesystem>

#include "device/cpu/cpu_device.h"
#include "model/checkpoint_source.h"
#include "model/dummy_source.h"
#include "model/weight_loader.h"
#include "ops/register_cpu.h"

namespace braid::model {
namespace {

constexpr int64_t kExperts = 32;
constexpr int64_t kWidth = 768;
constexpr int64_t kHidden = 2048;

std::string name_of_tensor(int64_t expert, std::string_view projection) {
  return fmt::format("experts.{}.{}_proj.weight", expert, projection);
}

// Gate and up rows of all experts, alternating, and their down matrices' columns.
struct Experts {
  explicit Experts(Format format) {
    std::vector<WeightPart> gate_up, down;
    for (int64_t expert = 0; expert < kExperts; ++expert) {
      const int64_t row = expert * 2 * kWidth;
      gate_up.push_back({name_of_tensor(expert, "gate"), {kWidth, kHidden}, row, 2});
      gate_up.push_back({name_of_tensor(expert, "up"), {kWidth, kHidden}, row + 1, 2});
      down.push_back({name_of_tensor(expert, "down"), {kHidden, kWidth}, expert * kHidden});
    }
    plan.add(residents, "gate_up", format, kExperts * 2 * kWidth, kHidden, std::move(gate_up));
    plan.add(residents, "down", format, kExperts * kHidden, kWidth, std::move(down));
    memory = flow::allocate(residents, device, device).value();
    ops::register_cpu(kernels);
  }

  void run(benchmark::State& state, const TensorSource& source) {
    const Loading how{.device = device, .kernels = kernels};
    BRAID_CHECK(plan.load(source, residents, how).ok());  // touches the memory, fills the cache
    for (auto _ : state) BRAID_CHECK(plan.load(source, residents, how).ok());
    state.SetBytesProcessed(state.iterations() * residents.bytes(flow::Lifetime::weight));
  }

  device::CpuDevice device;
  flow::LauncherTable kernels;
  flow::Residents residents;
  WeightPlan plan;
  std::vector<device::Memory> memory;
};

// A folder with the experts in bfloat16.
class Folder {
 public:
  Folder()
      : path_(std::filesystem::temp_directory_path() / fmt::format("braid_bench_{}", getpid())) {
    std::filesystem::create_directory(path_);
    const std::vector<std::byte> bytes(static_cast<size_t>(2 * kWidth * kHidden), std::byte{0x3f});
    std::vector<TensorView> tensors;
    for (int64_t expert = 0; expert < kExperts; ++expert) {
      for (const std::string_view projection : {"gate", "up", "down"}) {
        std::vector<int64_t> shape = {kWidth, kHidden};
        if (projection == "down") std::swap(shape[0], shape[1]);
        tensors.push_back(
            {name_of_tensor(expert, projection), StorageType::bf16, std::move(shape), bytes});
      }
    }
    BRAID_CHECK(write_safetensors(path_ / "model.safetensors", tensors).ok());
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  CheckpointSource open() const { return {Checkpoint::open(path_).value(), QuantScheme()}; }

 private:
  std::filesystem::path path_;
};

void make_up(benchmark::State& state, Format format) { Experts(format).run(state, DummySource()); }

void read(benchmark::State& state, Format format) {
  const Folder folder;
  Experts(format).run(state, folder.open());
}

BENCHMARK_CAPTURE(make_up, bf16, Format::bf16);
BENCHMARK_CAPTURE(make_up, f32, Format::f32);
BENCHMARK_CAPTURE(read, bf16, Format::bf16);
BENCHMARK_CAPTURE(read, f32, Format::f32);

}  // namespace
}  // namespace braid::model
