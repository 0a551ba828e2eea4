#include "passes/fuse_experts.h"

#include <fmt/format.h>

#include "flow/rewrite.h"
#include "flow/uses.h"
#include "ops/gemm.h"
#include "ops/moe.h"
#include "ops/rows.h"

namespace braid::passes {
namespace {

using flow::Op;
using flow::Program;
using flow::Value;
using kernels::AddDesc;
using kernels::CombineDesc;
using kernels::ExpertsDownDesc;
using kernels::GroupedGemmDesc;
using ops::AddOperand;
using ops::CombineOperand;
using ops::ExpertsDownOperand;
using ops::GroupedGemmOperand;

constexpr std::string_view kOptions[] = {"fuse-experts"};

// The ops of one layer that become one, and what its operands are beside theirs.
struct Chain {
  int32_t down = -1;
  std::vector<int32_t> ops;  // down, combine, up to two additions: ascending
  Value shared, residual, out;
};

const Op& op_at(const Program& program, int32_t index) {
  return program.ops[static_cast<size_t>(index)];
}

// The grouped product that `combine` combines, where nothing else has to do with it; −1: none.
int32_t product_of(const Program& program, const flow::Uses& uses, int32_t combine) {
  const Op& op = op_at(program, combine);
  const Value grouped = op.operands[CombineOperand::grouped];
  const int32_t down = uses.last_writer(combine, grouped);
  if (down < 0 || !op_at(program, down).desc.is<GroupedGemmDesc>()) return -1;
  const Op& product = op_at(program, down);
  const Value y = product.operands[GroupedGemmOperand::y];
  const Format format = program.info(y).format;
  const bool plain = product.desc.as<GroupedGemmDesc>().epilogue == kernels::Epilogue::none &&
                     !product.operands[GroupedGemmOperand::source].present() &&
                     program.info(product.operands[GroupedGemmOperand::x]).format == format &&
                     program.info(op.operands[CombineOperand::out]).format == format;
  const bool alone = uses.only_reader(down, y) == combine &&
                     flow::same_memory(program, y, grouped) && product.lane == op.lane;
  return plain && alone ? down : -1;
}

// Takes in the addition to chain.out that comes next, if all else that it needs is there before the
// down product: an addend that is made meanwhile, on another lane, would hold the product up.
bool take_addition(const Program& program, const flow::Uses& uses, Chain& chain, Value& addend) {
  const int32_t last = chain.ops.back();
  const int32_t add = uses.only_reader(last, chain.out);
  if (add < 0 || !op_at(program, add).desc.is<AddDesc>()) return false;
  const Op& op = op_at(program, add);
  const Value a = op.operands[AddOperand::a], b = op.operands[AddOperand::b];
  const bool first = flow::same_memory(program, a, chain.out);
  if (!first && !flow::same_memory(program, b, chain.out)) return false;
  const Value other = first ? b : a;
  const Value out = op.operands[AddOperand::out];
  if (op.lane != op_at(program, last).lane || uses.last_writer(add, other) > chain.down ||
      program.info(out).count.present() || flow::same_memory(program, other, chain.out)) {
    return false;
  }
  addend = other;
  chain.ops.push_back(add);
  chain.out = out;
  return true;
}

Chain find_chain(const Program& program, const flow::Uses& uses, int32_t combine) {
  Chain chain{.down = product_of(program, uses, combine)};
  if (chain.down < 0) return chain;
  chain.ops = {chain.down, combine};
  chain.out = op_at(program, combine).operands[CombineOperand::out];
  // The residual comes last, whether or not a shared expert comes before it.
  if (take_addition(program, uses, chain, chain.residual)) {
    Value next;
    if (take_addition(program, uses, chain, next)) {
      chain.shared = chain.residual;
      chain.residual = next;
    }
  }
  return chain;
}

Op fused(const Program& program, const Chain& chain) {
  const Op& down = op_at(program, chain.down);
  const Op& combine = op_at(program, chain.ops[1]);
  const auto product = down.desc.as<GroupedGemmDesc>();
  const flow::AnyDesc desc(ExpertsDownDesc{.num_slots = product.num_slots,
                                           .num_shared = combine.desc.as<CombineDesc>().num_shared,
                                           .tuned_rows = product.tuned_rows,
                                           .tokens = product.tokens});
  const flow::NamedValue operands[] = {
      {ExpertsDownOperand::x, down.operands[GroupedGemmOperand::x]},
      {ExpertsDownOperand::offsets, down.operands[GroupedGemmOperand::offsets]},
      {ExpertsDownOperand::weight, down.operands[GroupedGemmOperand::weight]},
      {ExpertsDownOperand::places, combine.operands[CombineOperand::places]},
      {ExpertsDownOperand::weights, combine.operands[CombineOperand::weights]},
      {ExpertsDownOperand::shared, chain.shared},
      {ExpertsDownOperand::residual, chain.residual},
      {ExpertsDownOperand::out, chain.out}};
  return {.desc = desc,
          .operands = flow::operands_of(desc.kind(), operands),
          .scope = combine.scope,
          .lane = combine.lane};
}

double us_of(const Program& program, const std::vector<int32_t>& ops, const cost::CostModel& cost) {
  double us = 0;
  for (const int32_t op : ops) us += cost.us_of(program, op_at(program, op));
  return us;
}

}  // namespace

Result<Program> fuse_experts(Program program, const FuseExpertsOptions& options,
                             const PassContext& context) {
  const auto decide = [&](std::string choice, std::string reason, int rewrites = 0,
                          std::vector<cost::Alternative> alternatives = {}) {
    context.decisions.push_back(
        {"fuse_experts", std::move(choice), std::move(reason), rewrites, std::move(alternatives)});
  };
  if (options.mode == Switch::off) {
    decide("off", "switched off");
    return program;
  }
  const flow::Uses uses(program);
  std::vector<Chain> chains;
  for (int32_t i = 0; i < static_cast<int32_t>(program.ops.size()); ++i) {
    if (!op_at(program, i).desc.is<CombineDesc>()) continue;
    Chain chain = find_chain(program, uses, i);
    if (chain.down >= 0) chains.push_back(std::move(chain));
  }
  if (chains.empty()) {
    decide("off", "no combination of a product that nothing else reads");
    return program;
  }
  flow::Rewriter rewrite(program);
  double apart = 0, together = 0;
  size_t additions = 0;
  for (const Chain& chain : chains) {
    const Op op = fused(program, chain);
    apart += us_of(program, chain.ops, context.cost());
    together += context.cost().us_of(program, op);
    additions += chain.ops.size() - 2;
    rewrite.replace(chain.ops, {rewrite.substitute(op, chain.ops.back())});
  }
  decide("on",
         fmt::format("{}: {} products combined in place, with {} sums behind them; no bit changes",
                     options.mode == Switch::on ? "asked for" : "auto", chains.size(), additions),
         rewrite.rewrites(), {{"off", apart}, {"on", together}});
  return std::move(rewrite).finish();
}

constinit const Pass kFuseExperts = {
    .name = "fuse_experts",
    .options = kOptions,
    .parse = [](const ParsedOptions& from, PassOptions& to) -> Status {
      to.of<FuseExpertsOptions>().mode =
          TRY(parse_switch("--fuse-experts", from.text("fuse-experts")));
      return {};
    },
    .run =
        [](Program program, const PassContext& context) {
          return fuse_experts(std::move(program), context.options.of<FuseExpertsOptions>(),
                              context);
        }};

}  // namespace braid::passes
