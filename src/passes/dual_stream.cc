#include "passes/dual_stream.h"

#include <fmt/format.h>

#include <algorithm>

#include "flow/rewrite.h"
#include "passes/fuse_shared_expert.h"

namespace braid::passes {

Result<DualStreamOptions> parse_dual_stream(std::string_view option, std::string_view text) {
  if (text == "fused") return DualStreamOptions{.fused = true};
  const auto mode = parse_switch(option, text);
  if (mode.ok()) return DualStreamOptions{.mode = *mode};
  return Error(ErrorKind::usage, "not a form of dual stream")
      .with(option, text)
      .remedy("Use auto, on, off or fused.");
}

namespace {

constexpr std::string_view kOptions[] = {"dual-stream", "dual-stream-max-tokens"};

// A layer's two branches, which start from the same rows and meet in one sum.
struct Branches {
  flow::ScopeOps shared;
  std::vector<int32_t> routed;  // router, dispatch and experts
};

std::vector<Branches> find_branches(const flow::Program& program) {
  std::vector<Branches> found;
  for (flow::ScopeOps& shared : program.scopes(flow::Role::shared_expert)) {
    found.push_back({std::move(shared), {}});
  }
  for (const flow::Role role : {flow::Role::router, flow::Role::experts}) {
    for (const flow::ScopeOps& scope : program.scopes(role)) {
      for (Branches& branches : found) {
        if (branches.shared.scope.layer != scope.scope.layer) continue;
        branches.routed.insert(branches.routed.end(), scope.ops.begin(), scope.ops.end());
      }
    }
  }
  return found;
}

const flow::Op& join_of(const flow::Program& program, const Branches& layer) {
  return program.ops[static_cast<size_t>(program.join_of(layer.shared))];
}

// Both branches of all layers and their sums, one after the other and side by side.
std::vector<cost::Alternative> predict(const flow::Program& program,
                                       const std::vector<Branches>& layers,
                                       const cost::CostModel& cost) {
  double serial = 0, two_lanes = 0;
  for (const Branches& layer : layers) {
    const double join = cost.us_of(program, join_of(program, layer));
    serial +=
        cost.serial_us(program, layer.routed) + cost.serial_us(program, layer.shared.ops) + join;
    two_lanes += cost.side_by_side_us(program, layer.routed, layer.shared.ops) + join;
  }
  return {{"serial", serial}, {"two lanes", two_lanes}};
}

// What is left of them once the shared experts are slots of the routed experts' pool.
double predict_fused(const flow::Program& fused, const std::vector<Branches>& layers,
                     const cost::CostModel& cost) {
  double us = 0;
  for (const flow::Role role : {flow::Role::router, flow::Role::experts}) {
    for (const flow::ScopeOps& scope : fused.scopes(role)) {
      const bool had_shared = std::any_of(layers.begin(), layers.end(), [&](const Branches& layer) {
        return layer.shared.scope.layer == scope.scope.layer;
      });
      if (had_shared) us += cost.serial_us(fused, scope.ops);
    }
  }
  return us;
}

// Two lanes or serial, and why.
bool takes_two_lanes(int64_t rows, const DualStreamOptions& options, std::string& reason) {
  if (options.mode != Switch::automatic) {
    reason = options.mode == Switch::on ? "asked for" : "switched off";
    return options.mode == Switch::on;
  }
  const bool few = rows <= options.max_tokens;
  reason = fmt::format("auto: {} rows, {} the limit of {}", rows, few ? "within" : "above",
                       options.max_tokens);
  return few;
}

}  // namespace

Result<flow::Program> dual_stream(flow::Program program, const DualStreamOptions& options,
                                  const PassContext& context) {
  const std::vector<Branches> layers = find_branches(program);
  const auto decide = [&](std::string choice, std::string reason, int rewrites,
                          std::vector<cost::Alternative> alternatives) {
    context.decisions.push_back(
        {"dual_stream", std::move(choice), std::move(reason), rewrites, std::move(alternatives)});
  };
  if (layers.empty()) {
    decide("serial", "the model has no shared expert", 0, {});
    return program;
  }
  if (options.fused) {
    const std::string obstacle = why_not_fused(program);
    if (obstacle.empty()) {
      int rewrites = 0;
      std::vector<cost::Alternative> alternatives = predict(program, layers, context.cost());
      flow::Program fused = TRY(fuse_shared_expert(program, rewrites));
      alternatives.push_back({"fused slot", predict_fused(fused, layers, context.cost())});
      decide("fused slot", "asked for; one sum instead of two: rounds otherwise than the others",
             rewrites, std::move(alternatives));
      return fused;
    }
    decide("not fused", obstacle, 0, {});
  }
  std::vector<cost::Alternative> alternatives = predict(program, layers, context.cost());
  std::string reason;
  if (!takes_two_lanes(context.shape.own.total(), options, reason)) {
    decide("serial", std::move(reason), 0, std::move(alternatives));
    return program;
  }
  flow::Rewriter rewrite(program);
  for (const Branches& layer : layers) {
    rewrite.move(layer.shared.ops, flow::Lane::aux, program.join_of(layer.shared));
  }
  decide("two lanes", std::move(reason), rewrite.rewrites(), std::move(alternatives));
  return std::move(rewrite).finish();  // compile() derives the waits
}

constinit const Pass kDualStream = {
    .name = "dual_stream",
    .options = kOptions,
    .parse = [](const ParsedOptions& from, PassOptions& to) -> Status {
      auto& options = to.of<DualStreamOptions>();
      options = TRY(parse_dual_stream("--dual-stream", from.text("dual-stream")));
      options.max_tokens = from.integer("dual-stream-max-tokens");
      return {};
    },
    .run =
        [](flow::Program program, const PassContext& context) {
          return dual_stream(std::move(program), context.options.of<DualStreamOptions>(), context);
        }};

}  // namespace braid::passes
