// Attention on the CPU: the write to the KV cache, plans, grouped-query and latent attention.
#pragma once

#include "flow/launcher.h"

namespace braid::ops {

void register_attention_cpu(flow::LauncherTable& table);

}  // namespace braid::ops
