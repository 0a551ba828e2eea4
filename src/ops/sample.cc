#include "ops/sample.h"

#include "ops/kind.h"
#include "ops/placement.h"

using braid::flow::Access;
using braid::flow::KindInfo;
using braid::flow::OperandSpec;
using braid::kernels::SampleDesc;

namespace {

constexpr OperandSpec kOperands[] = {
    {"logits"},   {"temperature"},       {"top_p"}, {"top_k"}, {"seed"},
    {"position"}, {"ids", Access::write}};
constexpr KindInfo kSample = {
    .name = "sample", .operands = kOperands, .work = braid::ops::moves_operands};

}  // namespace

template <>
const KindInfo& braid::flow::kind_of<SampleDesc>() {
  return kSample;
}

namespace braid::ops {

void sample(Builder& b, Value logits, const SamplingRows& rows, Value into) {
  require_whole_rows(b, logits, "sampling takes whole, fully reduced logits");
  b.emit(kernels::SampleDesc{},
         {logits, rows.temperature, rows.top_p, rows.top_k, rows.seed, rows.position, into});
}

}  // namespace braid::ops
