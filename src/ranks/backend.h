// Backend: the device of one rank as the engine uses it: memory, kernels, an executor.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "comm/comm.h"
#include "comm/control/control_plane.h"
#include "device/device.h"
#include "flow/delays.h"
#include "flow/executor.h"
#include "flow/fault.h"
#include "flow/residents.h"
#include "layout/layout.h"

namespace braid::ranks {

enum class DeviceKind { cpu, cuda };

struct BackendOptions {
  int32_t rank = 0;             // for the names of threads
  double step_timeout = 30;     // seconds
  int32_t nccl_blocks = 0;      // SMs that a collective of NCCL may take; 0: its own choice
  flow::Fault fault;            // asked for by tests
  bool overlap_kernels = true;  // neighbours on a lane, by programmatic dependent launch
};

class Backend {
 public:
  virtual ~Backend() = default;

  virtual device::Device& device() = 0;
  // Memory of the host that the device copies from and to.
  virtual device::Device& host() = 0;
  device::Device& memory_of(flow::Home home) {
    return home == flow::Home::host ? host() : device();
  }
  virtual flow::LauncherTable& table() = 0;
  virtual flow::Executor& executor() = 0;

  // Says where the workspace lies: peers may write into it from then on. Every rank calls it once.
  virtual Status share_workspace(std::byte* arena, int64_t bytes) = 0;
  // Prepares runs of `bound` by replay, and says what a replay consists of; empty where the device
  // captures nothing. Call release() before `bound` ends.
  virtual Result<std::string> capture(const flow::BoundSchedule& bound) = 0;
  virtual void release(const flow::BoundSchedule& bound) = 0;
  virtual void set_delays(flow::Delays delays) = 0;
  // Ok, or the first error of this rank's collectives that the runs have not returned.
  virtual Status collectives() const = 0;
  // Runs one op of a bound Schedule alone, behind all runs that have been waited for, to its end.
  virtual Status run_op(const flow::BoundSchedule& bound, size_t op, int64_t step) = 0;
};

// The CPU as a rank with these ends of communicators, by their ids in the layout.
Result<std::unique_ptr<Backend>> make_cpu_backend(
    std::span<comm::Communicator* const> communicators = {}, const BackendOptions& options = {});

// GPU `control.rank()` as a rank of `layout`.
// `unsupported` where braid is built without CUDA.
Result<std::unique_ptr<Backend>> make_cuda_backend(const layout::Layout& layout,
                                                   comm::ControlPlane& control,
                                                   const BackendOptions& options);

// The kernels of a device, collectives without communicators: enough to plan and prove steps.
// `unsupported` where braid is built without CUDA.
Status register_kernels(flow::LauncherTable& table, DeviceKind device);

// GPUs of this host; 0 where braid is built without CUDA. Touches the driver: after that
// the process can't start ranks on GPUs any more.
int32_t gpu_count();

// Free bytes of the memory of GPU `index`; `not_found`, or `unsupported` as above.
Result<int64_t> free_gpu_memory(int32_t index);

}  // namespace braid::ranks
