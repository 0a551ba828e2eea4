#include "device/cpu/cpu_device.h"
#include "flow/cpu_executor.h"
#include "ops/register_collectives_cpu.h"
#include "ops/register_cpu.h"
#include "ranks/backend.h"
#ifdef BRAID_WITH_CUDA
#include "ops/cuda/register_collectives_cuda.h"
#include "ops/cuda/register_cuda.h"
#endif

namespace braid::ranks {
namespace {

class CpuBackend final : public Backend {
 public:
  CpuBackend(std::span<comm::Communicator* const> communicators, const BackendOptions& options)
      : communicators_(communicators.begin(), communicators.end()),
        executor_({.name = fmt::format("rank{}", options.rank),
                   .fault = options.fault,
                   .collectives = [this] { return collectives(); }}) {
    ops::register_cpu(table_);
    ops::register_collectives_cpu(table_, communicators);
  }

  device::Device& device() override { return device_; }
  device::Device& host() override { return device_; }
  flow::LauncherTable& table() override { return table_; }
  flow::Executor& executor() override { return executor_; }
  Status share_workspace(std::byte* /*arena*/, int64_t /*bytes*/) override { return {}; }
  Result<std::string> capture(const flow::BoundSchedule& /*bound*/) override {
    return std::string();
  }
  void release(const flow::BoundSchedule& /*bound*/) override {}
  void set_delays(flow::Delays delays) override { executor_.set_delays(delays); }
  Status collectives() const override {
    for (const comm::Communicator* communicator : communicators_) TRY(communicator->status());
    return {};
  }
  Status run_op(const flow::BoundSchedule& bound, size_t op, int64_t step) override {
    flow::launch(bound, op, step);
    return {};
  }

 private:
  std::vector<comm::Communicator*> communicators_;
  device::CpuDevice device_;
  flow::LauncherTable table_;
  flow::CpuExecutor executor_;
};

}  // namespace

Result<std::unique_ptr<Backend>> make_cpu_backend(
    std::span<comm::Communicator* const> communicators, const BackendOptions& options) {
  TRY(device::CpuDevice::check_processor());
  return std::unique_ptr<Backend>(std::make_unique<CpuBackend>(communicators, options));
}

#ifdef BRAID_WITH_CUDA
Status register_kernels(flow::LauncherTable& table, DeviceKind device) {
  if (device == DeviceKind::cuda) {
    ops::register_cuda(table);
    ops::register_collectives_cuda(table, {});
  } else {
    ops::register_cpu(table);
    ops::register_collectives_cpu(table, {});
  }
  return {};
}
#else
namespace {

Error without_cuda() {
  return Error(ErrorKind::unsupported, "this braid is built without CUDA")
      .with("device", "cuda")
      .remedy("Build it where nvcc is installed, or use --device cpu.");
}

}  // namespace

Status register_kernels(flow::LauncherTable& table, DeviceKind device) {
  if (device == DeviceKind::cuda) return without_cuda();
  ops::register_cpu(table);
  ops::register_collectives_cpu(table, {});
  return {};
}

int32_t gpu_count() { return 0; }

Result<int64_t> free_gpu_memory(int32_t /*index*/) { return without_cuda(); }

Result<std::unique_ptr<Backend>> make_cuda_backend(const layout::Layout& /*layout*/,
                                                   comm::ControlPlane& /*control*/,
                                                   const BackendOptions& /*options*/) {
  return without_cuda();
}
#endif

}  // namespace braid::ranks
