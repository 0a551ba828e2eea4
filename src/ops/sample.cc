#include "ops/sample.h"

#include "ops/kind.h"
#include "ops/placement.h"

using braid::kernels::SampleDesc;

namespace braid::ops {
namespace {

constexpr auto kSampleOperands = flow::operand_specs<SampleOperand>({
    {SampleOperand::logits, "logits"},
    {SampleOperand::temperature, "temperature"},
    {SampleOperand::top_p, "top_p"},
    {SampleOperand::top_k, "top_k"},
    {SampleOperand::seed, "seed"},
    {SampleOperand::position, "position"},
    {SampleOperand::ids, "ids", Access::write},
});
constexpr KindInfo kSample = {
    .name = "sample", .operands = kSampleOperands, .work = moves_operands};

}  // namespace
}  // namespace braid::ops

template <>
const braid::flow::KindInfo& braid::flow::kind_of<SampleDesc>() {
  return ops::kSample;
}

namespace braid::ops {

void sample(Builder& b, Value logits, const SamplingRows& rows, Value into) {
  require_whole_rows(b, logits, "sampling takes whole, fully reduced logits");
  b.emit(kernels::SampleDesc{}, {{SampleOperand::logits, logits},
                                 {SampleOperand::temperature, rows.temperature},
                                 {SampleOperand::top_p, rows.top_p},
                                 {SampleOperand::top_k, rows.top_k},
                                 {SampleOperand::seed, rows.seed},
                                 {SampleOperand::position, rows.position},
                                 {SampleOperand::ids, into}});
}

}  // namespace braid::ops
