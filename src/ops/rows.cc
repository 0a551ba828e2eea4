#include "ops/rows.h"

#include "ops/kind.h"
#include "ops/placement.h"

using braid::flow::Access;
using braid::flow::KindInfo;
using braid::flow::OperandSpec;
using braid::flow::Slicing;
using braid::kernels::AddDesc;
using braid::kernels::CopyDesc;
using braid::kernels::GatherRowsDesc;
using braid::kernels::ReadBackDesc;

namespace {

constexpr OperandSpec kGatherOperands[] = {
    {"table", Access::read, Slicing::whole}, {"index"}, {"out", Access::write}};

braid::flow::Work gather_work(const void* /*desc*/, std::span<const braid::flow::Type> types) {
  return {.flop = 0, .bytes = 2 * braid::ops::bytes(types.back())};
}

constexpr OperandSpec kAddOperands[] = {{"a"}, {"b"}, {"out", Access::write}};
constexpr OperandSpec kCopyOperands[] = {{"in"}, {"out", Access::write}};

constexpr KindInfo kGather = {
    .name = "gather_rows", .operands = kGatherOperands, .work = gather_work};
constexpr KindInfo kAdd = {
    .name = "add", .operands = kAddOperands, .work = braid::ops::moves_operands};
constexpr KindInfo kCopy = {
    .name = "copy", .operands = kCopyOperands, .work = braid::ops::moves_operands};
constexpr KindInfo kReadBack = {.name = "read_back",
                                .operands = kCopyOperands,
                                .home = braid::flow::Lane::copy,
                                .work = braid::ops::moves_operands};

}  // namespace

template <>
const KindInfo& braid::flow::kind_of<GatherRowsDesc>() {
  return kGather;
}

template <>
const KindInfo& braid::flow::kind_of<AddDesc>() {
  return kAdd;
}

template <>
const KindInfo& braid::flow::kind_of<CopyDesc>() {
  return kCopy;
}

template <>
const KindInfo& braid::flow::kind_of<ReadBackDesc>() {
  return kReadBack;
}

namespace braid::ops {

Value gather_rows(Builder& b, Value table, Value index, std::string_view label, Value count) {
  require_whole_rows(b, table, "rows are gathered from whole rows");
  const Value out = b.step(label, b.format(table), b.num_rows(index), b.num_cols(table),
                           b.placement(index), count);
  b.emit(kernels::GatherRowsDesc{}, {table, index, out});
  return out;
}

Value add(Builder& b, Value a, Value other, std::string_view label) {
  b.require(b.num_rows(a) == b.num_rows(other) && b.num_cols(a) == b.num_cols(other) &&
                b.format(a) == b.format(other),
            "a sum takes terms of one shape and format", {a, other});
  const Value out = b.step(label, b.format(a), b.num_rows(a), b.num_cols(a),
                           sum_placement(b, a, other), b.info(a).count);
  b.emit(kernels::AddDesc{}, {a, other, out});
  return out;
}

Value sum_to(Builder& b, std::initializer_list<Value> terms, Placement placement,
             std::string_view label) {
  Value total;
  for (const Value term : terms) {
    b.require(b.placement(term).axes == placement.axes,
              "a term of this placement needs a collective to get into the sum", {term});
    const Value here = b.placed(term, placement);
    total = total.present() ? add(b, total, here, label) : here;
  }
  return total;
}

namespace {

void require_same(Builder& b, Value from, Value to) {
  b.require(b.num_rows(from) == b.num_rows(to) && b.num_cols(from) == b.num_cols(to) &&
                b.format(from) == b.format(to),
            "a copy keeps shape and format", {from, to});
}

}  // namespace

void copy(Builder& b, Value from, Value to) {
  require_same(b, from, to);
  b.emit(kernels::CopyDesc{}, {from, to});
}

void read_back(Builder& b, Value from, Value to) {
  require_same(b, from, to);
  b.emit(kernels::ReadBackDesc{}, {from, to});
}

}  // namespace braid::ops
