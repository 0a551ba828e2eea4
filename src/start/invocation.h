// What a process was started with: its options, where it reports, and which of the ranks it is.
#pragma once

#include <string>

#include "base/log.h"
#include "base/options.h"
#include "comm/control/control_plane.h"

namespace braid::start {

struct Invocation {
  const ParsedOptions& options;
  Console& console;
  comm::ControlPlane* control = nullptr;  // where ranks are processes: this one's end
  std::string ranks = {};                 // how they were started, for --explain

  // Rank 0's process, or that of all ranks: the one that tells the user.
  bool leads() const { return control == nullptr || control->rank() == 0; }
};

}  // namespace braid::start
