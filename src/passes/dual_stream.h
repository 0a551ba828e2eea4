// dual_stream: each layer's shared expert beside its routed experts.
#pragma once

#include "passes/pass.h"
#include "passes/switch.h"

namespace braid::passes {

struct DualStreamOptions {
  Switch mode = Switch::automatic;
  int64_t max_tokens = 256;  // automatic: two lanes for steps of at most this many rows
  // The shared experts run as slots of the routed experts' pool, where they lie in it; elsewhere
  // `mode` holds. The arithmetic differs, so that only this option chooses it.
  bool fused = false;
};

// What parse_switch() accepts, or "fused". max_tokens keeps its default.
Result<DualStreamOptions> parse_dual_stream(std::string_view option, std::string_view text);

// `fused`: see fuse_shared_expert(). Otherwise each layer's shared expert moves to lane aux, where
// it is issued behind the routed branch and right before the op that adds both:
//
//   serial     router · dispatch · experts · shared expert · add
//
//   compute    router ·          experts                   · add
//   comm              dispatch
//   aux        shared expert
//
// This pays when both branches leave the device idle: with few rows, or while a dispatch waits.
Result<flow::Program> dual_stream(flow::Program program, const DualStreamOptions& options,
                                  const PassContext& context);

extern const Pass kDualStream;

}  // namespace braid::passes
