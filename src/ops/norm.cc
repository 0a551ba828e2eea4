#include "ops/norm.h"

#include "ops/kind.h"
#include "ops/placement.h"

using braid::flow::Access;
using braid::flow::KindInfo;
using braid::flow::OperandSpec;
using braid::flow::Slicing;
using braid::kernels::RmsNormDesc;

namespace {

// x may be the same memory as y: an op with both reads and writes it.
constexpr OperandSpec kOperands[] = {
    {"x"}, {"weight", Access::read, Slicing::whole}, {"y", Access::write}};
constexpr KindInfo kRmsNorm = {
    .name = "rms_norm", .operands = kOperands, .work = braid::ops::moves_operands};

}  // namespace

template <>
const KindInfo& braid::flow::kind_of<RmsNormDesc>() {
  return kRmsNorm;
}

namespace braid::ops {

Value rms_norm(Builder& b, Value x, Value w, float eps, std::string_view label) {
  require_whole_rows(b, x, "a norm takes whole, fully reduced rows");
  b.require(b.num_cols(w) == b.num_cols(x), "the norm's weight spans the row", {x, w});
  const Value y =
      b.step(label, b.format(x), b.num_rows(x), b.num_cols(x), b.placement(x), b.info(x).count);
  b.emit(RmsNormDesc{.eps = eps}, {x, w, y});
  return y;
}

void rms_norm_heads(Builder& b, Value x, Value w, float eps, int32_t group) {
  b.require(!b.placement(x).is_partial(), "a norm takes fully reduced rows", {x});
  b.require(b.num_cols(w) == group && b.num_cols(x) % group == 0, "the norm's weight spans a head",
            {x, w});
  b.emit(RmsNormDesc{.eps = eps, .group = group}, {x, w, x});
}

}  // namespace braid::ops
