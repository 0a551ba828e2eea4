// The subcommands. Each stands in a file of its own; run.cc has their table.
#pragma once

#include "cli/streams.h"
#include "comm/control/control_plane.h"

namespace braid::cli {

struct Context {
  const ParsedOptions& options;
  Streams& streams;
  comm::ControlPlane* control = nullptr;  // where ranks are processes: this one's end
  std::string ranks = {};                 // how they were started, for --explain
};

// How a command ended that did what it could.
enum class Outcome { success, interrupted };

Result<Outcome> generate(const Context& context);
Result<Outcome> chat(const Context& context);
Result<Outcome> serve(const Context& context);
Result<Outcome> eval_logits(const Context& context);
Result<Outcome> eval_perplexity(const Context& context);
Result<Outcome> eval_balance(const Context& context);
Result<Outcome> bench_throughput(const Context& context);
Result<Outcome> bench_latency(const Context& context);
Result<Outcome> bench_layer(const Context& context);
Result<Outcome> bench_techniques(const Context& context);
Result<Outcome> profile(const Context& context);
Result<Outcome> verify(const Context& context);

}  // namespace braid::cli
