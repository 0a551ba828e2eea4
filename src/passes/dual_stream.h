// dual_stream: each layer's shared expert beside its routed experts.
#pragma once

#include "flow/program.h"
#include "passes/decisions.h"

namespace braid::passes {

enum class Switch { automatic, on, off };

// "auto", "on", "off"; else a usage error.
Result<Switch> parse_switch(std::string_view option, std::string_view text);

struct DualStreamOptions {
  Switch mode = Switch::automatic;
  int64_t max_tokens = 256;  // automatic: two lanes for steps of at most this many rows
  // The shared experts as slots of the routed experts' pool, where they lie in it; elsewhere `mode`
  // holds. Another arithmetic, so that nothing but this chooses it.
  bool fused = false;
};

// As parse_switch(), or "fused"; max_tokens as it is by default.
Result<DualStreamOptions> parse_dual_stream(std::string_view option, std::string_view text);

// `fused`: see fuse_shared_expert(). Else moves each layer's shared expert to lane aux, issued
// after the routed branch and right before its join. Pays when both branches leave the device idle:
// few rows, or a dispatch that waits.
Result<flow::Program> dual_stream(flow::Program program, int64_t rows,
                                  const DualStreamOptions& options, Decisions& why);

}  // namespace braid::passes
