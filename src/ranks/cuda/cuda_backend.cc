#include <algorithm>

#include "device/cuda/cuda_device.h"
#include "flow/cuda/cuda_executor.h"
#include "ops/cuda/register_collectives_cuda.h"
#include "ops/cuda/register_cuda.h"
#include "ranks/backend.h"

namespace braid::ranks {
namespace {

// The group of a communicator that this rank is in.
Result<comm::Members> members_of(const layout::RankGroups& communicator, int32_t rank) {
  for (const std::vector<int32_t>& ranks : communicator.groups) {
    const auto found = std::find(ranks.begin(), ranks.end(), rank);
    if (found == ranks.end()) continue;
    return comm::Members{.ranks = ranks, .index = static_cast<int32_t>(found - ranks.begin())};
  }
  return Error(ErrorKind::internal, "a rank is in no group of a communicator").with("rank", rank);
}

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
    std::vector<ops::CudaCommunicator*> ends;
    for (const auto& communicator : backend->communicators_) ends.push_back(communicator.get());
    ops::register_collectives_cuda(backend->table_, ends);
    if (!options.overlap_kernels) backend->table_.forbid_overlap();
    return std::unique_ptr<Backend>(std::move(backend));
  }

  device::Device& device() override { return *device_; }
  device::Device& host() override { return device_->host(); }
  flow::LauncherTable& table() override { return table_; }
  flow::Executor& executor() override { return *executor_; }

  Status share_workspace(std::byte* arena, int64_t bytes) override {
    if (communicators_.empty()) return {};
    shared_ = TRY(comm::PeerWorkspace::share(*device_, arena, bytes, control_));
    for (const auto& communicator : communicators_) {
      const comm::Members& members = communicator->members;
      communicator->copy_engines = TRY(comm::CopyEngineGroup::create(*shared_, members));
      communicator->ragged = TRY(comm::RaggedGroup::create(*shared_, members));
    }
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

  // Every communicator of the layout, in their order on all ranks: NCCL's part of each, with this
  // rank's group of it.
  Status connect(const layout::Layout& layout, const BackendOptions& options) {
    for (const layout::RankGroups& communicator : layout.communicators) {
      auto end = std::make_unique<ops::CudaCommunicator>();
      end->members = TRY(members_of(communicator, control_.rank()));
      end->nccl = TRY(comm::NcclGroup::create(control_, end->members, options.nccl_blocks));
      communicators_.push_back(std::move(end));
    }
    return {};
  }

  comm::ControlPlane& control_;
  std::unique_ptr<device::CudaDevice> device_;
  std::unique_ptr<comm::PeerWorkspace> shared_;
  std::vector<std::unique_ptr<ops::CudaCommunicator>> communicators_;  // by their ids
  flow::LauncherTable table_;
  std::unique_ptr<flow::CudaExecutor> executor_;  // last: its graphs end before communicators
};

}  // namespace

Result<std::unique_ptr<Backend>> make_cuda_backend(const layout::Layout& layout,
                                                   comm::ControlPlane& control,
                                                   const BackendOptions& options) {
  return CudaBackend::create(layout, control, options);
}

int32_t gpu_count() { return device::CudaDevice::count(); }

Result<int64_t> free_gpu_memory(int32_t index) { return device::CudaDevice::free_bytes(index); }

}  // namespace braid::ranks
