#include "passes/chunk_cut.h"

#include <algorithm>

#include "ops/collectives.h"
#include "ops/gemm.h"
#include "ops/row_parts.h"

namespace braid::passes {
namespace {

using flow::Op;
using flow::Program;
using flow::RowRange;
using flow::Shard;
using flow::Value;

void spare_sms(Program& program, const RowSegment& segment, int32_t sms) {
  for (const int32_t index : segment.ops) {
    Op& op = program.ops[static_cast<size_t>(index)];
    if (!op.desc.is<kernels::GemmDesc>()) continue;
    auto desc = op.desc.as<kernels::GemmDesc>();
    desc.spare_sms = sms;
    op.desc = flow::AnyDesc(desc);
  }
}

// Cuts segments of one Program by the same ranges.
class Cutter {
 public:
  Cutter(const Program& program, const std::vector<RowRange>& ranges, const TensorParallel& tp)
      : program_(program), ranges_(ranges), tp_(tp), rewrite_(program) {}

  void cut(const RowSegment& segment) {
    std::vector<int32_t> ops = segment.ops;
    if (segment.reduce >= 0) ops.push_back(segment.reduce);
    if (segment.parts.empty()) return rewrite_.split(ops, ranges_);
    ops.insert(ops.end(), segment.parts.begin(), segment.parts.end());
    rewrite_.replace(ops, in_halves(segment));
  }

  int rewrites() const { return rewrite_.rewrites(); }
  Result<Program> finish() && { return std::move(rewrite_).finish(); }

 private:
  // Of each chunk in turn: the ops, the reduce-scatter, this rank's parts, the all-gathers.
  std::vector<int32_t> in_halves(const RowSegment& segment) {
    std::vector<int32_t> issued;
    for (const RowRange& range : ranges_) {
      for (const int32_t op : segment.ops) issued.push_back(rewrite_.part(op, range));
      issued.push_back(scatter(segment.reduce, range));
      gather_result(segment, segment.reduce, range, issued);
      for (const int32_t op : segment.parts) {
        const RowRange own = own_part(range);
        if (own.first < own.last) issued.push_back(own_part_of(op, range));
        gather_result(segment, op, range, issued);
      }
    }
    return issued;
  }

  RowRange own_part(const RowRange& range) const {
    return ops::part_of(range, tp_.ranks, tp_.rank);
  }
  // This rank's part of a chunk of `value`.
  Value own_rows(Value value, const RowRange& range) {
    flow::Placement placement = program_.info(value).placement;
    placement.axes[1] = Shard::row_sharded;
    return rewrite_.placed(rewrite_.rows_of(value, own_part(range)), placement);
  }

  int32_t own_part_of(int32_t index, const RowRange& range) {
    Op op = program_.ops[static_cast<size_t>(index)];
    for (size_t i = 0; i < op.operands.size(); ++i) {
      const bool whole = op.kind().operands[i].slicing == flow::Slicing::whole;
      if (op.operands[i].present() && !whole) op.operands[i] = own_rows(op.operands[i], range);
    }
    op.lane = flow::Lane::comm;
    return rewrite_.substitute(op, index);
  }

  int32_t scatter(int32_t reduce, const RowRange& range) {
    Op op = program_.ops[static_cast<size_t>(reduce)];
    const auto desc = op.desc.as<ops::AllReduceDesc>();
    op.desc = flow::AnyDesc(
        ops::ReduceScatterDesc{.communicator = desc.communicator, .ranks = desc.ranks});
    const Value in = op.operands[ops::AllReduceOperand::in];
    const Value out = op.operands[ops::AllReduceOperand::out];
    op.operands[ops::ReduceScatterOperand::in] = rewrite_.rows_of(in, range);
    op.operands[ops::ReduceScatterOperand::out] = own_rows(out, range);
    return rewrite_.substitute(op, reduce);
  }

  // Gathers the rows that all ranks' parts of op `maker` wrote, where other ops read them.
  void gather_result(const RowSegment& segment, int32_t maker, const RowRange& range,
                     std::vector<int32_t>& issued) {
    const auto& gathered = segment.gathered;
    if (std::find(gathered.begin(), gathered.end(), maker) == gathered.end()) return;
    const Value value = output_of(program_.ops[static_cast<size_t>(maker)]);
    Op op = program_.ops[static_cast<size_t>(segment.reduce)];
    const auto desc = op.desc.as<ops::AllReduceDesc>();
    op.desc =
        flow::AnyDesc(ops::GatherPartsDesc{.communicator = desc.communicator, .ranks = desc.ranks});
    op.operands[ops::GatherPartsOperand::in] = own_rows(value, range);
    op.operands[ops::GatherPartsOperand::out] = rewrite_.rows_of(value, range);
    issued.push_back(rewrite_.make(op, maker));
  }

  const Program& program_;
  const std::vector<RowRange>& ranges_;
  const TensorParallel tp_;
  flow::Rewriter rewrite_;
};

}  // namespace

Result<Program> cut_segments(Program program, std::span<const RowSegment> segments,
                             const std::vector<RowRange>& ranges, const TensorParallel& tp,
                             int32_t spared, int& rewrites) {
  for (const RowSegment& segment : segments) spare_sms(program, segment, spared);
  Cutter cutter(program, ranges, tp);
  for (const RowSegment& segment : segments) cutter.cut(segment);
  rewrites = cutter.rewrites();
  return std::move(cutter).finish();  // compile() derives the waits
}

}  // namespace braid::passes
