#include "passes/dual_stream.h"

#include <fmt/format.h>

#include "flow/rewrite.h"
#include "passes/fuse_shared_expert.h"

namespace braid::passes {

Result<Switch> parse_switch(std::string_view option, std::string_view text) {
  if (text == "auto") return Switch::automatic;
  if (text == "on") return Switch::on;
  if (text == "off") return Switch::off;
  return Error(ErrorKind::usage, "not a switch").with(option, text).remedy("Use auto, on or off.");
}

Result<DualStreamOptions> parse_dual_stream(std::string_view option, std::string_view text) {
  if (text == "fused") return DualStreamOptions{.fused = true};
  const auto mode = parse_switch(option, text);
  if (mode.ok()) return DualStreamOptions{.mode = *mode};
  return Error(ErrorKind::usage, "not a form of dual stream")
      .with(option, text)
      .remedy("Use auto, on, off or fused.");
}

namespace {

// Two lanes or serial, and why.
bool two_lanes(int64_t rows, const DualStreamOptions& options, std::string& reason) {
  if (options.mode != Switch::automatic) {
    reason = options.mode == Switch::on ? "asked for" : "switched off";
    return options.mode == Switch::on;
  }
  const bool few = rows <= options.max_tokens;
  reason = fmt::format("auto: {} rows, {} the limit of {}; no measured prices on this device yet",
                       rows, few ? "within" : "above", options.max_tokens);
  return few;
}

}  // namespace

Result<flow::Program> dual_stream(flow::Program program, int64_t rows,
                                  const DualStreamOptions& options, Decisions& why) {
  const std::vector<flow::ScopeOps> shared_experts = program.scopes(flow::Role::shared_expert);
  std::string reason;
  if (shared_experts.empty()) {
    why.push_back({"dual_stream", "serial", "the model has no shared expert", 0});
    return program;
  }
  if (options.fused) {
    const std::string obstacle = why_not_fused(program);
    if (obstacle.empty()) {
      int rewrites = 0;
      flow::Program fused = TRY(fuse_shared_expert(program, rewrites));
      why.push_back({"dual_stream", "fused slot",
                     "asked for; one sum instead of two: rounds otherwise than the other forms",
                     rewrites});
      return fused;
    }
    why.push_back({"dual_stream", "not fused", obstacle, 0});
  }
  if (!two_lanes(rows, options, reason)) {
    why.push_back({"dual_stream", "serial", reason, 0});
    return program;
  }
  flow::Rewriter rewrite(program);
  for (const flow::ScopeOps& shared : shared_experts) {
    rewrite.move(shared.ops, flow::Lane::aux, program.join_of(shared));
  }
  why.push_back({"dual_stream", "two lanes", reason, rewrite.rewrites()});
  return std::move(rewrite).finish();  // waits come from compile, not from here
}

}  // namespace braid::passes
