// braid bench layer, in parts: what is run, and how its results are told.
#pragma once

#include <optional>
#include <vector>

#include "base/json_fwd.h"
#include "base/link_speed.h"
#include "cli/commands.h"
#include "cost/device_profile.h"
#include "lab/layer_check.h"
#include "lab/layer_timing.h"
#include "model/config.h"
#include "ops/collectives.h"

namespace braid::cli {

// What the options ask for.
struct LayerSetting {
  model::ModelConfig config;
  layout::Layout layout;
  bool cuda = false;
  Format dtype = Format::f32;
  lab::Part part = lab::Part::layer;
  kernels::Choice choice = kernels::Choice::balanced;
  double zipf_exponent = 1.0;
  std::vector<lab::LayerRows> steps;
  std::vector<lab::LayerRows> checked_steps;  // more of them, which are not timed
  std::vector<int32_t> chunks;                // counts to compare
  bool check = false;
  bool json = false;
  std::string trace;  // file; empty: none
  std::string dump;   // folder; empty: none
  int64_t rounds = 30;
  uint64_t seed = 0;
  std::optional<LinkSpeed> link;  // emulated on the CPU
  cost::DeviceProfile profile;    // that the number of chunks is predicted with
  ranks::BackendOptions backend;  // its fault holds on rank `fault_rank` alone
  int32_t fault_rank = -1;

  // Those to be timed, and behind them those that are only checked.
  std::vector<lab::LayerRows> all_steps() const;
};

Result<LayerSetting> read_layer_setting(const Context& context);

std::string_view name_of(ops::ReduceMethod method);  // "copy engines", "direct"
// What the GEMMs of chunks leave to the additions between copies. 128 of an H100's 132 SMs also
// take the tiles of most chunks in whole rounds.
int32_t spare_sms(ops::ReduceMethod method);

// "1, 8,128": positive numbers.
Result<std::vector<int32_t>> parse_counts(std::string_view option, std::string_view text);

// The table of one step's timings, as text and as JSON.
std::string layer_table(const std::vector<lab::LayerTiming>& timings);
Json layer_json(const std::vector<lab::LayerTiming>& timings);

}  // namespace braid::cli
