// Fills a launcher table with the collectives of ranks that are threads of one process.
#pragma once

#include <span>

#include "comm/comm.h"
#include "flow/launcher.h"

namespace braid::ops {

// `communicators`: this rank's ends, by communicator id; they must outlive the table. A collective
// that fails leaves zeros, or ids of −1, and its communicator then has a status that is not ok: the
// code that runs steps must look at it.
void register_collectives_cpu(flow::LauncherTable& table,
                              std::span<comm::Communicator* const> communicators);

}  // namespace braid::ops
