// The benchmark of a layer alone: every variant of it timed, and where asked for, checked.
#pragma once

#include <optional>
#include <vector>

#include "base/link_speed.h"
#include "comm/control/control_plane.h"
#include "cost/device_profile.h"
#include "lab/layer_check.h"
#include "lab/layer_timing.h"
#include "model/config.h"
#include "ops/collectives.h"

namespace braid::lab {

// What is asked for.
struct LayerSetting {
  model::ModelConfig config;
  layout::Layout layout;
  bool cuda = false;
  Format dtype = Format::f32;
  Part part = Part::layer;
  kernels::Choice choice = kernels::Choice::balanced;
  double zipf_exponent = 1.0;
  std::vector<LayerRows> steps;
  std::vector<LayerRows> checked_steps;  // more of them, which are not timed
  std::vector<int32_t> chunks;           // counts to compare
  bool check = false;
  std::string trace;  // file; empty: none
  std::string dump;   // folder; empty: none
  int64_t rounds = 30;
  uint64_t seed = 0;
  std::optional<LinkSpeed> link;  // emulated on the CPU
  cost::DeviceProfile profile;    // that the number of chunks is predicted with
  ranks::BackendOptions backend;  // its fault holds on rank `fault_rank` alone
  int32_t fault_rank = -1;

  // Those to be timed, and behind them those that are only checked.
  std::vector<LayerRows> all_steps() const;
};

// What is found, as it is found; told by rank 0 alone.
class LayerReport {
 public:
  virtual ~LayerReport() = default;
  virtual Status line(const std::string& text) = 0;
  virtual Status timed(const LayerRows& rows, const std::vector<LayerTiming>& timings) = 0;
};

// The ranks of this process, with their backends: all of them on the CPU, one of them on CUDA. All
// processes call it together.
Status run_layer_bench(const LayerSetting& setting, comm::ControlPlane& control,
                       LayerReport& report);

std::string_view name_of(ops::ReduceMethod method);  // "copy engines", "direct"
// What the GEMMs of chunks leave to the additions between copies. 128 of an H100's 132 SMs also
// take the tiles of most chunks in whole rounds.
int32_t spare_sms(ops::ReduceMethod method);

}  // namespace braid::lab
