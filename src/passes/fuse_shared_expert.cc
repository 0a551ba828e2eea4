#include "passes/fuse_shared_expert.h"

#include <algorithm>

#include "flow/rewrite.h"
#include "flow/uses.h"
#include "kernels/rows/rows_desc.h"
#include "ops/moe.h"
#include "ops/rows.h"

namespace braid::passes {

using flow::Op;
using flow::Program;
using flow::Value;
using kernels::AddDesc;
using kernels::CombineDesc;
using kernels::GemmDesc;
using kernels::GroupedGemmDesc;
using kernels::PermuteDesc;
using ops::AddOperand;
using ops::CombineOperand;
using ops::GemmOperand;
using ops::GroupedGemmOperand;
using ops::PermuteOperand;

namespace {

// The ops of one layer that take part, by their indices. −1: the layer has none.
struct Branches {
  int32_t shared_up = -1, shared_down = -1, add = -1;
  int32_t permute = -1, up = -1, down = -1, combine = -1;
};

const Op& op_at(const Program& program, int32_t index) {
  return program.ops[static_cast<size_t>(index)];
}

Branches find_branches(const Program& program, const flow::ScopeOps& shared,
                       const std::vector<flow::ScopeOps>& experts) {
  Branches found;
  if (shared.ops.size() == 2) {
    found.shared_up = shared.ops[0];
    found.shared_down = shared.ops[1];
  }
  found.add = program.join_of(shared);
  for (const flow::ScopeOps& scope : experts) {
    if (scope.scope.layer != shared.scope.layer) continue;
    for (const int32_t index : scope.ops) {
      const flow::AnyDesc& desc = op_at(program, index).desc;
      if (desc.is<PermuteDesc>()) found.permute = index;
      if (desc.is<GroupedGemmDesc>()) (found.up < 0 ? found.up : found.down) = index;
      if (desc.is<CombineDesc>()) found.combine = index;
    }
  }
  return found;
}

Value weights_of(const Op& grouped) { return grouped.operands[GroupedGemmOperand::weight]; }

// Whether the shared experts' weights are the rows behind the routed experts' rows in the pool.
bool lies_behind(const Program& program, Value routed, Value shared) {
  const flow::ValueInfo& pool = program.info(routed);
  const flow::ValueInfo& more = program.info(shared);
  return pool.buffer == more.buffer && more.first_row == pool.first_row + pool.region_rows &&
         pool.cols == more.cols;
}

std::string why_not(const Program& program, const Branches& b) {
  const int32_t least =
      std::min({b.shared_up, b.shared_down, b.add, b.permute, b.up, b.down, b.combine});
  if (least < 0 || !op_at(program, b.shared_up).desc.is<GemmDesc>() ||
      !op_at(program, b.shared_down).desc.is<GemmDesc>()) {
    return "the branches have other ops than this form knows";
  }
  const Op& up = op_at(program, b.up);
  const Op& shared_up = op_at(program, b.shared_up);
  const Op& shared_down = op_at(program, b.shared_down);
  if (!lies_behind(program, weights_of(up), shared_up.operands[GemmOperand::weight]) ||
      !lies_behind(program, weights_of(op_at(program, b.down)),
                   shared_down.operands[GemmOperand::weight])) {
    return "the shared experts don't lie in the routed experts' pool: ranks have different experts";
  }
  if (!flow::same_memory(program, up.operands[GroupedGemmOperand::x],
                         shared_up.operands[GemmOperand::x])) {
    return "the experts see other rows";
  }
  const Op& add = op_at(program, b.add);
  const Value routed = op_at(program, b.combine).operands[CombineOperand::out];
  const Value shared = shared_down.operands[GemmOperand::y];
  const auto adds = [&](size_t one, size_t other) {
    return flow::same_memory(program, add.operands[one], routed) &&
           flow::same_memory(program, add.operands[other], shared);
  };
  if (!add.desc.is<AddDesc>() ||
      (!adds(AddOperand::a, AddOperand::b) && !adds(AddOperand::b, AddOperand::a))) {
    return "the branches are reduced before they are added";
  }
  return "";
}

void fuse(flow::Rewriter& rewrite, const Program& program, const Branches& b) {
  const Op& permute = op_at(program, b.permute);
  const Op& up = op_at(program, b.up);
  const Op& down = op_at(program, b.down);
  const Op& combine = op_at(program, b.combine);
  const int32_t shared = op_at(program, b.shared_down).desc.as<GemmDesc>().k_slots;
  auto permutation = permute.desc.as<PermuteDesc>();
  permutation.num_slots += shared;
  permutation.num_shared = shared;
  const int32_t slots = permutation.num_slots;
  const Value places = permute.operands[PermuteOperand::places];
  const flow::ValueInfo& choices = program.info(places);
  // Every row goes to each shared slot.
  const int64_t capacity =
      program.info(permute.operands[PermuteOperand::source]).rows + choices.rows * shared;

  const Value new_offsets = rewrite.like(permute.operands[PermuteOperand::offsets], slots + 1, 1);
  const Value new_source = rewrite.like(permute.operands[PermuteOperand::source], capacity, 1);
  const Value new_places = rewrite.like(places, choices.rows, choices.cols + shared);
  rewrite.replace(b.permute, flow::AnyDesc(permutation),
                  {{PermuteOperand::ids, permute.operands[PermuteOperand::ids]},
                   {PermuteOperand::table, permute.operands[PermuteOperand::table]},
                   {PermuteOperand::offsets, new_offsets},
                   {PermuteOperand::source, new_source},
                   {PermuteOperand::places, new_places}});
  const Value count = rewrite.rows_of(new_offsets, {slots, slots + 1});
  const auto widened = [&](const Op& grouped) {
    auto desc = grouped.desc.as<GroupedGemmDesc>();
    desc.num_slots = slots;
    desc.tuned_rows = static_cast<int32_t>(capacity);
    return flow::AnyDesc(desc);
  };
  const auto pool = [&](const Op& grouped) {
    const int64_t rows = program.info(weights_of(grouped)).rows;
    return rewrite.rows_of(weights_of(grouped), {0, rows / (slots - shared) * slots});
  };
  const auto output = [&](const Op& grouped) {
    const Value y = grouped.operands[GroupedGemmOperand::y];
    return rewrite.like(y, capacity, program.info(y).cols, count);
  };
  const Value hidden = output(up);
  rewrite.replace(b.up, widened(up),
                  {{GroupedGemmOperand::x, up.operands[GroupedGemmOperand::x]},
                   {GroupedGemmOperand::source, new_source},
                   {GroupedGemmOperand::offsets, new_offsets},
                   {GroupedGemmOperand::weight, pool(up)},
                   {GroupedGemmOperand::y, hidden}});
  const Value out = output(down);
  rewrite.replace(b.down, widened(down),
                  {{GroupedGemmOperand::x, hidden},
                   {GroupedGemmOperand::offsets, new_offsets},
                   {GroupedGemmOperand::weight, pool(down)},
                   {GroupedGemmOperand::y, out}});
  // combine reads by places, so that the row count doesn't matter.
  const Value grouped = rewrite.uncounted(out);
  rewrite.replace(b.combine, flow::AnyDesc(CombineDesc{.num_shared = shared}),
                  {{CombineOperand::grouped, grouped},
                   {CombineOperand::places, new_places},
                   {CombineOperand::weights, combine.operands[CombineOperand::weights]},
                   {CombineOperand::out, op_at(program, b.add).operands[AddOperand::out]}});
  rewrite.remove({b.shared_up, b.shared_down, b.add});
}

}  // namespace

std::string why_not_fused(const Program& program) {
  const auto experts = program.scopes(flow::Role::experts);
  for (const flow::ScopeOps& shared : program.scopes(flow::Role::shared_expert)) {
    std::string reason = why_not(program, find_branches(program, shared, experts));
    if (!reason.empty()) return reason;
  }
  return "";
}

Result<Program> fuse_shared_expert(const Program& program, int& rewrites) {
  flow::Rewriter rewrite(program);
  const auto experts = program.scopes(flow::Role::experts);
  for (const flow::ScopeOps& shared : program.scopes(flow::Role::shared_expert)) {
    const Branches branches = find_branches(program, shared, experts);
    std::string reason = why_not(program, branches);
    BRAID_CHECK(reason.empty(), "(layer {}: {})", shared.scope.layer, reason);
    fuse(rewrite, program, branches);
  }
  rewrites = rewrite.rewrites();
  return std::move(rewrite).finish();
}

}  // namespace braid::passes
