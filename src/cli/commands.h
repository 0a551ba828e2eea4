// The subcommands. Each stands in a file of its own; run.cc has their table.
#pragma once

#include "cli/streams.h"
#include "start/invocation.h"

namespace braid::cli {

struct Context : start::Invocation {
  Streams& streams;
};

// How a command ended when there was no error.
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
Result<Outcome> bench_kernel(const Context& context);
Result<Outcome> bench_techniques(const Context& context);
Result<Outcome> profile(const Context& context);
Result<Outcome> verify(const Context& context);

}  // namespace braid::cli
