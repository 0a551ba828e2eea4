#include "ops/row_parts.h"

#include "ops/kind.h"

using braid::flow::Access;
using braid::flow::KindInfo;
using braid::flow::OperandSpec;
using braid::flow::Slicing;
using braid::flow::Type;
using braid::flow::Work;
using braid::ops::GatherPartsDesc;
using braid::ops::ReduceScatterDesc;

namespace {

constexpr OperandSpec kOperands[] = {{"in", Access::read, Slicing::whole},
                                     {"out", Access::write, Slicing::whole}};

// What a ring sends; `all` has the rows of all ranks.
Work work_of(int32_t ranks, const Type& all, double flop_per_element) {
  const double others = (ranks - 1.0) / ranks;
  const double bytes = braid::ops::bytes(all);
  return {.flop = flop_per_element * others * static_cast<double>(all.rows * all.cols),
          .bytes = bytes * (1 + 1.0 / ranks),
          .link_bytes = others * bytes,
          .messages = ranks - 1.0};
}

Work scatter_work(const void* desc, std::span<const Type> types) {
  return work_of(static_cast<const ReduceScatterDesc*>(desc)->ranks, types[0], 1);
}
Work gather_work(const void* desc, std::span<const Type> types) {
  return work_of(static_cast<const GatherPartsDesc*>(desc)->ranks, types[1], 0);
}

// Which rows there are the ranks agree on, which of them are this rank's is its own.
constexpr KindInfo kScatter =
    braid::ops::collective_kind<ReduceScatterDesc, 0>("reduce_scatter", kOperands, scatter_work);
constexpr KindInfo kGather =
    braid::ops::collective_kind<GatherPartsDesc, 1>("gather_parts", kOperands, gather_work);

}  // namespace

template <>
const KindInfo& braid::flow::kind_of<ReduceScatterDesc>() {
  return kScatter;
}

template <>
const KindInfo& braid::flow::kind_of<GatherPartsDesc>() {
  return kGather;
}

namespace braid::ops {

flow::RowRange part_of(const flow::RowRange& rows, int32_t ranks, int32_t member) {
  const int64_t count = rows.last - rows.first;
  return {rows.first + count * member / ranks, rows.first + count * (member + 1) / ranks};
}

}  // namespace braid::ops
