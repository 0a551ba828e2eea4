#include "passes/fuse_norm.h"

#include <fmt/format.h>

#include "flow/rewrite.h"
#include "flow/uses.h"
#include "ops/gemm.h"
#include "ops/norm.h"
#include "ops/rows.h"

namespace braid::passes {
namespace {

using flow::NamedValue;
using flow::Op;
using flow::Program;
using flow::Value;
using kernels::AddDesc;
using kernels::AddRmsNormDesc;
using kernels::GemmDesc;
using kernels::RmsNormDesc;
using ops::AddOperand;
using ops::AddRmsNormOperand;
using ops::GemmOperand;
using ops::RmsNormOperand;

constexpr std::string_view kOptions[] = {"fuse-norm"};

const Op& op_at(const Program& program, int32_t index) {
  return program.ops[static_cast<size_t>(index)];
}

// Two ops, the first of which writes what the second reads, and the one that does both. It stands
// where one of the two stands.
struct Pair {
  int32_t first = -1;
  int32_t second = -1;
  int32_t place = -1;
  Op op;
};

using FindPair = std::optional<Pair> (*)(const Program& program, const flow::Uses& uses,
                                         int32_t second);

bool counted(const Program& program, Value value) { return program.info(value).count.present(); }

bool is_row_norm(const Op& op) {
  return op.desc.is<RmsNormDesc>() && op.desc.as<RmsNormDesc>().group == 0;
}

// gemm · add, seen from the add.
std::optional<Pair> residual_of_product(const Program& program, const flow::Uses& uses,
                                        int32_t second) {
  const Op& add = op_at(program, second);
  if (!add.desc.is<AddDesc>()) return std::nullopt;
  const Value out = add.operands[AddOperand::out];
  for (const auto& [product, other] :
       {std::pair{AddOperand::a, AddOperand::b}, std::pair{AddOperand::b, AddOperand::a}}) {
    const Value y = add.operands[product], residual = add.operands[other];
    const int32_t first = uses.last_writer(second, y);
    if (first < 0 || !op_at(program, first).desc.is<GemmDesc>()) continue;
    Op gemm = op_at(program, first);
    const bool alone = uses.only_reader(first, y) == second && gemm.lane == add.lane &&
                       flow::same_memory(program, gemm.operands[GemmOperand::y], y) &&
                       !gemm.operands[GemmOperand::residual].present();
    // A residual that is made meanwhile would hold the product up.
    if (!alone || uses.last_writer(second, residual) > first || counted(program, out) ||
        program.info(y).format != program.info(out).format ||
        program.info(out).buffer == program.info(residual).buffer ||
        !uses.may_move(second, first)) {
      continue;
    }
    gemm.operands[GemmOperand::residual] = residual;
    gemm.operands[GemmOperand::y] = out;
    return Pair{first, second, first, gemm};
  }
  return std::nullopt;
}

// rms_norm · gemm, seen from the gemm.
std::optional<Pair> norm_of_product(const Program& program, const flow::Uses& uses,
                                    int32_t second) {
  Op gemm = op_at(program, second);
  if (!gemm.desc.is<GemmDesc>() || gemm.operands[GemmOperand::norm_weight].present()) {
    return std::nullopt;
  }
  const Value normed = gemm.operands[GemmOperand::x];
  const int32_t first = uses.last_writer(second, normed);
  if (first < 0 || !is_row_norm(op_at(program, first))) return std::nullopt;
  const Op& norm = op_at(program, first);
  if (uses.only_reader(first, normed) != second || norm.lane != gemm.lane ||
      !flow::same_memory(program, norm.operands[RmsNormOperand::y], normed) ||
      !uses.may_move(first, second)) {
    return std::nullopt;
  }
  auto desc = gemm.desc.as<GemmDesc>();
  desc.norm_eps = norm.desc.as<RmsNormDesc>().eps;
  gemm.desc = flow::AnyDesc(desc);
  gemm.operands[GemmOperand::x] = norm.operands[RmsNormOperand::x];
  gemm.operands[GemmOperand::norm_weight] = norm.operands[RmsNormOperand::weight];
  return Pair{first, second, second, gemm};
}

// add · rms_norm, seen from the norm. Others may read the sum as well.
std::optional<Pair> sum_of_norm(const Program& program, const flow::Uses& uses, int32_t second) {
  const Op& norm = op_at(program, second);
  if (!is_row_norm(norm)) return std::nullopt;
  const Value x = norm.operands[RmsNormOperand::x];
  const int32_t first = uses.last_writer(second, x);
  if (first < 0 || !op_at(program, first).desc.is<AddDesc>()) return std::nullopt;
  const Op& add = op_at(program, first);
  if (add.lane != norm.lane || counted(program, x) ||
      !flow::same_memory(program, add.operands[AddOperand::out], x) ||
      program.info(norm.operands[RmsNormOperand::y]).buffer == program.info(x).buffer ||
      !uses.may_move(second, first)) {
    return std::nullopt;
  }
  const flow::AnyDesc desc(AddRmsNormDesc{.eps = norm.desc.as<RmsNormDesc>().eps});
  const NamedValue operands[] = {{AddRmsNormOperand::a, add.operands[AddOperand::a]},
                                 {AddRmsNormOperand::b, add.operands[AddOperand::b]},
                                 {AddRmsNormOperand::weight, norm.operands[RmsNormOperand::weight]},
                                 {AddRmsNormOperand::sum, add.operands[AddOperand::out]},
                                 {AddRmsNormOperand::y, norm.operands[RmsNormOperand::y]}};
  return Pair{first, second, first,
              Op{.desc = desc,
                 .operands = flow::operands_of(desc.kind(), operands),
                 .scope = norm.scope,
                 .lane = norm.lane}};
}

// What was done, and the predicted times of the ops that it concerns, before and after.
struct Totals {
  std::array<int, 3> pairs{};  // by form
  int rewrites = 0;
  double apart = 0, together = 0;
};

// Makes one op of every pair that `find` finds; no op is part of two of them.
Result<Program> fuse_pairs(Program program, FindPair find, const cost::CostModel& cost,
                           Totals& totals, int& pairs) {
  const flow::Uses uses(program);
  flow::Rewriter rewrite(program);
  std::vector<bool> taken(program.ops.size());
  for (int32_t i = 0; i < std::ssize(taken); ++i) {
    const std::optional<Pair> pair = find(program, uses, i);
    if (!pair || taken[static_cast<size_t>(pair->first)]) continue;
    taken[static_cast<size_t>(pair->first)] = taken[static_cast<size_t>(pair->second)] = true;
    totals.apart += cost.us_of(program, op_at(program, pair->first)) +
                    cost.us_of(program, op_at(program, pair->second));
    totals.together += cost.us_of(program, pair->op);
    rewrite.replace({pair->place}, {rewrite.substitute(pair->op, pair->place)});
    rewrite.remove({pair->place == pair->first ? pair->second : pair->first});
    ++pairs;
  }
  totals.rewrites += rewrite.rewrites();
  return std::move(rewrite).finish();
}

}  // namespace

Result<Program> fuse_norm(Program program, const FuseNormOptions& options,
                          const PassContext& context) {
  Decision decision{.pass = "fuse_norm", .choice = "off"};
  Totals totals;
  if (options.mode == Switch::off) {
    decision.reason = "switched off";
  } else {
    const int64_t rows = context.shape.own.total();
    const bool into_products = options.mode == Switch::on || rows <= kFewRows;
    const std::pair<FindPair, bool> forms[] = {{residual_of_product, into_products},
                                               {norm_of_product, into_products},
                                               {sum_of_norm, true}};
    for (size_t form = 0; form < std::size(forms); ++form) {
      const auto& [find, wanted] = forms[form];
      if (!wanted) continue;
      program =
          TRY(fuse_pairs(std::move(program), find, context.cost(), totals, totals.pairs[form]));
    }
    decision.reason = options.mode == Switch::on ? "asked for" : fmt::format("auto: {} rows", rows);
    decision.reason += fmt::format(
        "; {} sums and {} norms in products, {} sums in norms; "
        "no bit changes",
        totals.pairs[0], totals.pairs[1], totals.pairs[2]);
    if (totals.rewrites > 0) {
      decision.choice = "on";
      decision.alternatives = {{"off", totals.apart}, {"on", totals.together}};
    }
  }
  decision.rewrites = totals.rewrites;
  context.decisions.push_back(std::move(decision));
  return program;
}

constinit const Pass kFuseNorm = {
    .name = "fuse_norm",
    .options = kOptions,
    .parse = [](const ParsedOptions& from, PassOptions& to) -> Status {
      to.of<FuseNormOptions>().mode = TRY(parse_switch("--fuse-norm", from.text("fuse-norm")));
      return {};
    },
    .run =
        [](Program program, const PassContext& context) {
          return fuse_norm(std::move(program), context.options.of<FuseNormOptions>(), context);
        }};

}  // namespace braid::passes
