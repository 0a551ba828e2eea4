#include "device/cuda/cuda_device.h"
#include "engine/backend.h"
#include "flow/cuda/cuda_executor.h"
#include "ops/cuda/register_collectives_cuda.h"
#include "ops/cuda/register_cuda.h"

namespace braid::engine {
namespace {

class CudaBackend final : public Backend {
 public:
  static Result<std::unique_ptr<Backend>> create(const layout::Layout& layout,
                                                 comm::ControlPlane& control,
                                                 const BackendOptions& options) {
    std::unique_ptr<CudaBackend> backend(new CudaBackend(control));
    backend->device_ = TRY(device::CudaDevice::open(control.local_rank()));
    backend->executor_ = TRY(flow::CudaExecutor::create({
        .step_timeout = options.step_timeout,
        .delays = {},
        .fault = options.fault,
        .interrupted = [&control] { return control.poll(); },
    }));
    TRY(backend->connect(layout, options));
    ops::register_cuda(backend->table_);
    ops::register_collectives_cuda(backend->table_, backend->communicators_);
    return std::unique_ptr<Backend>(std::move(backend));
  }

  device::Device& device() override { return *device_; }
  device::Device& host() override { return device_->host(); }
  flow::LauncherTable& table() override { return table_; }
  flow::Executor& executor() override { return *executor_; }

  Status share_workspace(std::byte* arena, int64_t bytes) override {
    if (world_.ranks == 1) return {};
    world_.copy_engines = TRY(comm::CopyEngineGroup::create(*device_, arena, bytes, control_));
    return {};
  }
  Result<std::string> capture(const flow::BoundSchedule& bound) override {
    return TRY(executor_->capture(bound)).to_string();
  }
  void release(const flow::BoundSchedule& bound) override { executor_->release(bound); }
  void set_delays(flow::Delays delays) override { executor_->set_delays(delays); }
  Status collectives() const override { return {}; }  // their runs don't end
  Status run_op(const flow::BoundSchedule& bound, size_t op, int64_t step) override {
    return executor_->run_op(bound, op, step);
  }

 private:
  explicit CudaBackend(comm::ControlPlane& control) : control_(control) {}

  // All communicators hold all ranks so far: one group serves them.
  Status connect(const layout::Layout& layout, const BackendOptions& options) {
    world_.ranks = layout.world;
    for (const layout::Communicator& communicator : layout.communicators) {
      if (communicator.groups.size() != 1) {
        return Error(ErrorKind::unsupported, "on GPUs every sum is over all ranks so far")
            .with("layout", layout.to_string())
            .remedy("Use --tp N with --ep 1 or --ep N.");
      }
      communicators_.push_back(&world_);
    }
    if (layout.world > 1) {
      world_.nccl = TRY(comm::NcclGroup::create(control_, options.nccl_blocks));
    }
    return {};
  }

  comm::ControlPlane& control_;
  std::unique_ptr<device::CudaDevice> device_;
  ops::CudaCommunicator world_;
  std::vector<ops::CudaCommunicator*> communicators_;
  flow::LauncherTable table_;
  std::unique_ptr<flow::CudaExecutor> executor_;  // last: its graphs end before communicators
};

}  // namespace

Result<std::unique_ptr<Backend>> make_cuda_backend(const layout::Layout& layout,
                                                   comm::ControlPlane& control,
                                                   const BackendOptions& options) {
  return CudaBackend::create(layout, control, options);
}

Result<int64_t> free_gpu_memory(int32_t index) { return device::CudaDevice::free_bytes(index); }

}  // namespace braid::engine
