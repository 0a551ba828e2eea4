// braid's own rows: its commands, its options, and the names of other engines that it knows.
// An option stands here only when what it selects exists.
#pragma once

#include "base/options.h"

namespace braid {

const OptionTable& braid_options();

}  // namespace braid
