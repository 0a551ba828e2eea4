// Ranks as processes of this host, started and watched by the calling process.
#pragma once

#include <functional>

#include "comm/control/control_plane.h"

namespace braid::comm {

// Runs `body` in `ranks` child processes and serves their control planes until all have ended.
// The caller must not have started threads or touched a GPU before. A rank that fails, dies or
// ends early is a fault of the whole: the others are told, have `grace` seconds to say what they
// were doing, and are then killed. Returns the first fault, with what each rank said.
Status run_processes(int ranks, const std::function<Status(ControlPlane&)>& body,
                     double grace = 3.0);

}  // namespace braid::comm
