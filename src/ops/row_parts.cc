#include "ops/row_parts.h"

#include "ops/kind.h"

using braid::flow::Access;
using braid::flow::Collective;
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
          .link_bytes = others * bytes};
}

// Which rows there are is part of it, which of them are this rank's is not.
Collective collective_of(int32_t communicator, int32_t ranks, const Type& all) {
  return {
      .communicator = communicator,
      .signature = braid::ops::signature_of({communicator, ranks, static_cast<int64_t>(all.format),
                                             all.first_row, all.rows, all.cols})};
}

Work scatter_work(const void* desc, std::span<const Type> types) {
  return work_of(static_cast<const ReduceScatterDesc*>(desc)->ranks, types[0], 1);
}
Work gather_work(const void* desc, std::span<const Type> types) {
  return work_of(static_cast<const GatherPartsDesc*>(desc)->ranks, types[1], 0);
}

std::optional<Collective> scatter_collective(const void* desc, std::span<const Type> types) {
  const auto& scatter = *static_cast<const ReduceScatterDesc*>(desc);
  return collective_of(scatter.communicator, scatter.ranks, types[0]);
}
std::optional<Collective> gather_collective(const void* desc, std::span<const Type> types) {
  const auto& gather = *static_cast<const GatherPartsDesc*>(desc);
  return collective_of(gather.communicator, gather.ranks, types[1]);
}

constexpr KindInfo kScatter = {.name = "reduce_scatter",
                               .operands = kOperands,
                               .row_invariant = false,
                               .home = braid::flow::Lane::comm,
                               .work = scatter_work,
                               .collective = scatter_collective};
constexpr KindInfo kGather = {.name = "gather_parts",
                              .operands = kOperands,
                              .row_invariant = false,
                              .home = braid::flow::Lane::comm,
                              .work = gather_work,
                              .collective = gather_collective};

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
