#include "passes/fuse_route.h"

#include <fmt/format.h>

#include "flow/rewrite.h"
#include "flow/uses.h"
#include "ops/gemm.h"
#include "ops/moe.h"
#include "ops/norm.h"
#include "ops/route_experts.h"

namespace braid::passes {
namespace {

using flow::Op;
using flow::Program;
using flow::Value;
using kernels::AddRmsNormDesc;
using kernels::GemmDesc;
using kernels::PermuteDesc;
using kernels::RmsNormDesc;
using kernels::RouteDesc;
using kernels::RouteExpertsDesc;
using ops::AddRmsNormOperand;
using ops::GemmOperand;
using ops::PermuteOperand;
using ops::RmsNormOperand;
using ops::RouteExpertsOperand;
using ops::RouteOperand;

constexpr std::string_view kOptions[] = {"fuse-route"};

const Op& op_at(const Program& program, int32_t index) {
  return program.ops[static_cast<size_t>(index)];
}

// The ops of a layer that become one, by their indices.
struct Chain {
  int32_t norm = -1, router = -1, route = -1, permute = -1;
};

// What a norm reads and writes; without addend and sum where nothing is added first.
struct NormOperands {
  Value x, addend, weight, sum, y;
  float eps = 0;
};

std::optional<NormOperands> norm_operands(const Op& op) {
  const auto& v = op.operands;
  if (op.desc.is<AddRmsNormDesc>()) {
    using Operand = AddRmsNormOperand;
    return NormOperands{v[Operand::a],   v[Operand::b], v[Operand::weight],
                        v[Operand::sum], v[Operand::y], op.desc.as<AddRmsNormDesc>().eps};
  }
  if (!op.desc.is<RmsNormDesc>() || op.desc.as<RmsNormDesc>().group != 0) return std::nullopt;
  using Operand = RmsNormOperand;
  return NormOperands{
      v[Operand::x], {}, v[Operand::weight], {}, v[Operand::y], op.desc.as<RmsNormDesc>().eps};
}

bool is_plain_product(const Op& op) {
  if (!op.desc.is<GemmDesc>()) return false;
  const auto desc = op.desc.as<GemmDesc>();
  return desc.epilogue == kernels::Epilogue::none && desc.k_slots == 1 &&
         !op.operands[GemmOperand::bias].present() &&
         !op.operands[GemmOperand::norm_weight].present() &&
         !op.operands[GemmOperand::residual].present();
}

// The permutation of exactly what `route` chooses; −1 where the choices go to other ranks first.
int32_t permutation_of(const Program& program, const flow::Uses& uses, int32_t route) {
  const Value ids = op_at(program, route).operands[RouteOperand::ids];
  for (const int32_t index : uses.touching(ids)) {
    const Op& op = op_at(program, index);
    if (index <= route || !op.desc.is<PermuteDesc>()) continue;
    const Value from = op.operands[PermuteOperand::ids];
    return flow::same_memory(program, from, ids) && uses.last_writer(index, from) == route ? index
                                                                                           : -1;
  }
  return -1;
}

// All of a chain is found from its routing; nothing where a part is missing, is on another lane, or
// can't stand where the routing stands.
std::optional<Chain> find_chain(const Program& program, const flow::Uses& uses, int32_t route) {
  Chain chain{.route = route};
  const Op& routing = op_at(program, route);
  const Value logits = routing.operands[RouteOperand::logits];
  chain.router = uses.last_writer(route, logits);
  if (chain.router < 0 || !is_plain_product(op_at(program, chain.router))) return std::nullopt;
  const Op& router = op_at(program, chain.router);
  const Value x = router.operands[GemmOperand::x];
  chain.norm = uses.last_writer(chain.router, x);
  chain.permute = permutation_of(program, uses, route);
  if (chain.norm < 0 || chain.permute < 0) return std::nullopt;
  const std::optional<NormOperands> norm = norm_operands(op_at(program, chain.norm));
  if (!norm || !flow::same_memory(program, norm->y, x) || program.info(x).count.present() ||
      !flow::same_memory(program, router.operands[GemmOperand::y], logits)) {
    return std::nullopt;
  }
  for (const int32_t part : {chain.norm, chain.router, chain.permute}) {
    if (op_at(program, part).lane != routing.lane) return std::nullopt;
  }
  // The router stands between the norm and the routing, and may depend on both.
  const bool fits = uses.may_move(chain.norm, chain.router) && uses.may_move(chain.router, route) &&
                    uses.may_move(chain.permute, route);
  if (!fits) return std::nullopt;
  for (int32_t i = chain.router + 1; i < route; ++i) {
    if (flow::conflict(program, op_at(program, i), op_at(program, chain.norm))) return std::nullopt;
  }
  return chain;
}

Op fused(const Program& program, const Chain& chain) {
  const NormOperands norm = *norm_operands(op_at(program, chain.norm));
  const Op& router = op_at(program, chain.router);
  const Op& route = op_at(program, chain.route);
  const Op& permute = op_at(program, chain.permute);
  const flow::AnyDesc desc(RouteExpertsDesc{.norm = {.eps = norm.eps},
                                            .router = router.desc.as<GemmDesc>(),
                                            .route = route.desc.as<RouteDesc>(),
                                            .permute = permute.desc.as<PermuteDesc>()});
  using To = RouteExpertsOperand;
  const flow::NamedValue operands[] = {{To::x, norm.x},
                                       {To::addend, norm.addend},
                                       {To::norm_weight, norm.weight},
                                       {To::router, router.operands[GemmOperand::weight]},
                                       {To::bias, route.operands[RouteOperand::bias]},
                                       {To::kv_slots, route.operands[RouteOperand::kv_slots]},
                                       {To::forced, route.operands[RouteOperand::forced]},
                                       {To::popularity, route.operands[RouteOperand::popularity]},
                                       {To::table, permute.operands[PermuteOperand::table]},
                                       {To::sum, norm.sum},
                                       {To::normed, norm.y},
                                       {To::logits, router.operands[GemmOperand::y]},
                                       {To::ids, route.operands[RouteOperand::ids]},
                                       {To::weights, route.operands[RouteOperand::weights]},
                                       {To::heat, route.operands[RouteOperand::heat]},
                                       {To::offsets, permute.operands[PermuteOperand::offsets]},
                                       {To::source, permute.operands[PermuteOperand::source]},
                                       {To::places, permute.operands[PermuteOperand::places]}};
  return {.desc = desc,
          .operands = flow::operands_of(desc.kind(), operands),
          .scope = route.scope,
          .lane = route.lane};
}

}  // namespace

Result<Program> fuse_route(Program program, const FuseRouteOptions& options,
                           const PassContext& context) {
  const auto decide = [&](std::string choice, std::string reason, int rewrites = 0,
                          std::vector<cost::Alternative> alternatives = {}) {
    context.decisions.push_back(
        {"fuse_route", std::move(choice), std::move(reason), rewrites, std::move(alternatives)});
  };
  if (options.mode == Switch::off) {
    decide("off", "switched off");
    return program;
  }
  const int64_t rows = context.shape.own.total();
  if (options.mode == Switch::automatic && rows > kMaxRouteRows) {
    decide("off", fmt::format("auto: {} rows, above the limit of {}", rows, kMaxRouteRows));
    return program;
  }
  const flow::Uses uses(program);
  flow::Rewriter rewrite(program);
  double apart = 0, together = 0;
  int layers = 0;
  for (int32_t i = 0; i < std::ssize(program.ops); ++i) {
    if (!op_at(program, i).desc.is<RouteDesc>()) continue;
    const std::optional<Chain> chain = find_chain(program, uses, i);
    if (!chain) continue;
    const Op op = fused(program, *chain);
    const std::array parts = {chain->norm, chain->router, chain->route, chain->permute};
    apart += context.cost().serial_us(program, parts);
    together += context.cost().us_of(program, op);
    rewrite.replace({i}, {rewrite.substitute(op, i)});
    rewrite.remove({chain->norm, chain->router, chain->permute});
    ++layers;
  }
  if (layers == 0) {
    decide("off", "no routing between a norm and a permutation of its own choices");
    return program;
  }
  decide("on",
         fmt::format("{}: {} layers; exact on the CPU, on the GPU up to the order of the router's "
                     "sums",
                     options.mode == Switch::on ? "asked for" : fmt::format("auto: {} rows", rows),
                     layers),
         rewrite.rewrites(), {{"off", apart}, {"on", together}});
  return std::move(rewrite).finish();
}

constinit const Pass kFuseRoute = {
    .name = "fuse_route",
    .options = kOptions,
    .parse = [](const ParsedOptions& from, PassOptions& to) -> Status {
      to.of<FuseRouteOptions>().mode = TRY(parse_switch("--fuse-route", from.text("fuse-route")));
      return {};
    },
    .run =
        [](Program program, const PassContext& context) {
          return fuse_route(std::move(program), context.options.of<FuseRouteOptions>(), context);
        }};

}  // namespace braid::passes
