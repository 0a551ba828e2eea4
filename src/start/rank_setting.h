// What the options and the environment say about ranks: device, threads or processes, hosts.
#pragma once

#include <chrono>
#include <optional>

#include "base/link_speed.h"
#include "base/options.h"
#include "comm/control/processes.h"
#include "ranks/backend.h"

namespace braid::start {

ranks::DeviceKind device_of(const ParsedOptions& options);
std::chrono::seconds step_timeout_of(const ParsedOptions& options);
// --dtype, or what auto means on the device: --device's, if no other is given.
Result<Format> dtype_of(const ParsedOptions& options);
Result<Format> dtype_of(const ParsedOptions& options, ranks::DeviceKind device);
// --emulate-link; only CPU ranks have it.
Result<std::optional<LinkSpeed>> link_of(const ParsedOptions& options);
// --tp, --ep and --dp. With --enable-dp-attention tp counts the ranks of all groups.
Result<layout::LayoutOptions> layout_of(const ParsedOptions& options);

// "kill:1:5:12": kind (kill, hang, skip, fail), rank, step, op.
struct FaultRequest {
  flow::Fault fault;
  int32_t rank = -1;
};
Result<FaultRequest> parse_fault(std::string_view text);

// How the ranks of a command that has an engine are started.
struct RankSetting {
  bool processes = false;  // else threads of this process
  comm::Node node;         // where they are processes: those of this one
  std::string why;         // for --explain
};

// From --nnodes, or from the environment of torchrun, Slurm or Open MPI; else all ranks are here:
// threads, or with --cpu-ranks process and on GPUs processes. `usage` where these contradict the
// number of ranks.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;
Result<RankSetting> rank_setting(const ParsedOptions& options, const Environment& environment);

// The first of Slurm's list of hosts: "gpu[03-05,7],cpu1" begins with gpu03.
std::string first_host(std::string_view list);

}  // namespace braid::start
