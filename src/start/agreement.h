// What ranks that are processes agree on before they start an engine.
#pragma once

#include "base/options.h"
#include "comm/control/control_plane.h"
#include "model/config.h"
#include "start/engine_options.h"

namespace braid::start {

// What decides what ranks compute, one line an option; and the model.
std::string setting_of(const ParsedOptions& options, const model::ModelConfig& config);

struct Agreed {
  EngineNeeds needs;       // rank 0's
  int32_t ranks_here = 1;  // how many ranks are on this host
};

// All ranks call it together; the needs of rank 0 count. `usage`, with the first line that
// differs, when the setting of a rank differs from rank 0's.
Result<Agreed> agree(comm::ControlPlane& control, const std::string& setting,
                     const EngineNeeds& needs);

// The fewest that any rank has room for.
Result<int32_t> agree_on_blocks(comm::ControlPlane& control, int32_t blocks);

}  // namespace braid::start
