// Names that users bring from SGLang and vLLM: each stands for an option of braid's, or is refused
// with what to do instead, so that none of them is an unknown option.
#pragma once

#include <vector>

#include "base/options.h"

namespace braid {

std::vector<ForeignOption> foreign_options();

}  // namespace braid
