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
};

// Moves each layer's shared expert to lane aux, issued after the routed branch and right before its
// join. Pays when both branches leave the device idle: few rows, or a dispatch that waits.
Result<flow::Program> dual_stream(flow::Program program, int64_t rows,
                                  const DualStreamOptions& options, Decisions& why);

}  // namespace braid::passes
