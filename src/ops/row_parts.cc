#include "ops/row_parts.h"

#include "ops/kind.h"

using braid::ops::GatherPartsDesc;
using braid::ops::ReduceScatterDesc;

namespace braid::ops {
namespace {

constexpr auto kPartsOperands = flow::operand_specs<ReduceScatterOperand>({
    {ReduceScatterOperand::in, "in", Access::read, Slicing::whole},
    {ReduceScatterOperand::out, "out", Access::write, Slicing::whole},
});

Work scatter_work(const void* desc, std::span<const Type> types) {
  const Type& all = types[ReduceScatterOperand::in];
  return ring_work(static_cast<const ReduceScatterDesc*>(desc)->ranks, bytes(all),
                   static_cast<double>(all.rows * all.cols));
}
Work gather_work(const void* desc, std::span<const Type> types) {
  return ring_work(static_cast<const GatherPartsDesc*>(desc)->ranks,
                   bytes(types[GatherPartsOperand::out]));
}

// All ranks agree on the operand with all rows; the other one is this rank's part.
constexpr KindInfo kScatter = collective_kind<ReduceScatterDesc, ReduceScatterOperand::in>(
    "reduce_scatter", kPartsOperands, scatter_work);
constexpr KindInfo kGather = collective_kind<GatherPartsDesc, GatherPartsOperand::out>(
    "gather_parts", kPartsOperands, gather_work);

}  // namespace
}  // namespace braid::ops

template <>
const braid::flow::KindInfo& braid::flow::kind_of<ReduceScatterDesc>() {
  return ops::kScatter;
}

template <>
const braid::flow::KindInfo& braid::flow::kind_of<GatherPartsDesc>() {
  return ops::kGather;
}

namespace braid::ops {

flow::RowRange part_of(const flow::RowRange& rows, int32_t ranks, int32_t member) {
  const int64_t count = rows.last - rows.first;
  return {rows.first + count * member / ranks, rows.first + count * (member + 1) / ranks};
}

}  // namespace braid::ops
