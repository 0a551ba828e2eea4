#include "device/cpu/cpu_device.h"
#include "engine/backend.h"
#include "flow/cpu_executor.h"
#include "ops/register_collectives_cpu.h"
#include "ops/register_cpu.h"

namespace braid::engine {
namespace {

class CpuBackend final : public Backend {
 public:
  explicit CpuBackend(std::span<comm::Communicator* const> communicators) {
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
  Status run_op(const flow::BoundSchedule& bound, size_t op, int64_t step) override {
    flow::launch(bound, op, step);
    return {};
  }

 private:
  device::CpuDevice device_;
  flow::LauncherTable table_;
  flow::CpuExecutor executor_;
};

}  // namespace

Result<std::unique_ptr<Backend>> make_cpu_backend(
    std::span<comm::Communicator* const> communicators) {
  TRY(device::CpuDevice::check_processor());
  return std::unique_ptr<Backend>(std::make_unique<CpuBackend>(communicators));
}

#ifndef BRAID_WITH_CUDA
Result<std::unique_ptr<Backend>> make_cuda_backend(const layout::Layout& /*layout*/,
                                                   comm::ControlPlane& /*control*/,
                                                   const BackendOptions& /*options*/) {
  return Error(ErrorKind::unsupported, "this braid is built without CUDA")
      .with("device", "cuda")
      .remedy("Build it where nvcc is installed, or use --device cpu.");
}
#endif

}  // namespace braid::engine
