// What a rank's worker is made for: its device, its part of the model, its passes, how it runs.
#pragma once

#include <chrono>
#include <optional>

#include "base/link_speed.h"
#include "ranks/backend.h"
#include "steps/schedules.h"

namespace braid::ranks {

struct WorkerOptions {
  DeviceKind device = DeviceKind::cpu;
  model::ModelOptions model;
  steps::PassOptions passes;
  int64_t workspace_bytes = 0;    // that the largest steps need
  int32_t max_captured_rows = 0;  // decode steps of up to so many rows run as captured graphs
  bool capture_extended_sampling = false;  // these steps, too (layers::Sampling)
  bool overlap_kernels = true;             // neighbours on a lane may, where they are captured
  bool serial = false;                     // run op by op on the calling thread, in program order
  flow::Delays delays;                     // random pauses before ops, to shake out missing waits
  flow::Fault fault;                       // asked for by tests, on rank `fault_rank`
  int32_t fault_rank = 0;
  // How long a rank may wait for another one.
  std::chrono::milliseconds step_timeout = std::chrono::seconds(300);
  std::optional<LinkSpeed> link;  // that collectives take as long as; none: as fast as they are
};

}  // namespace braid::ranks
