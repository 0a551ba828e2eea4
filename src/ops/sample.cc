#include "ops/sample.h"

#include "ops/kind.h"
#include "ops/placement.h"

using braid::kernels::AdjustLogitsDesc;
using braid::kernels::SampleDesc;
using braid::kernels::TopLogprobsDesc;

namespace braid::ops {
namespace {

constexpr auto kSampleOperands = flow::operand_specs<SampleOperand>({
    {SampleOperand::logits, "logits"},
    {SampleOperand::temperature, "temperature"},
    {SampleOperand::top_p, "top_p"},
    {SampleOperand::top_k, "top_k"},
    {SampleOperand::seed, "seed"},
    {SampleOperand::position, "position"},
    {SampleOperand::log_min_p, "log_min_p"},
    {SampleOperand::ids, "ids", Access::write},
});
constexpr KindInfo kSample = {
    .name = "sample", .operands = kSampleOperands, .work = moves_operands};

constexpr auto kAdjustOperands = flow::operand_specs<AdjustLogitsOperand>({
    {AdjustLogitsOperand::logits, "logits"},
    {AdjustLogitsOperand::history, "history", Access::read, Slicing::whole},
    {AdjustLogitsOperand::block_table, "block_table", Access::read, Slicing::whole},
    {AdjustLogitsOperand::sequence, "sequence"},
    {AdjustLogitsOperand::position, "position"},
    {AdjustLogitsOperand::prompt_size, "prompt_size"},
    {AdjustLogitsOperand::penalties, "penalties"},
    {AdjustLogitsOperand::bias_ids, "bias_ids"},
    {AdjustLogitsOperand::biases, "biases"},
    {AdjustLogitsOperand::out, "out", Access::write},
});

// A row's tokens are few beside its logits.
Work adjust_work(const void* /*desc*/, std::span<const Type> types) {
  return {.flop = 0, .bytes = 2 * bytes(types[AdjustLogitsOperand::out])};
}
constexpr KindInfo kAdjust = {
    .name = "adjust_logits", .operands = kAdjustOperands, .work = adjust_work};

constexpr auto kTopOperands = flow::operand_specs<TopLogprobsOperand>({
    {TopLogprobsOperand::logits, "logits"},
    {TopLogprobsOperand::chosen, "chosen"},
    {TopLogprobsOperand::wanted, "wanted"},
    {TopLogprobsOperand::logprobs, "logprobs", Access::write},
    {TopLogprobsOperand::ids, "ids", Access::write},
});
constexpr KindInfo kTop = {
    .name = "top_logprobs", .operands = kTopOperands, .work = moves_operands};

}  // namespace
}  // namespace braid::ops

template <>
const braid::flow::KindInfo& braid::flow::kind_of<SampleDesc>() {
  return ops::kSample;
}

template <>
const braid::flow::KindInfo& braid::flow::kind_of<AdjustLogitsDesc>() {
  return ops::kAdjust;
}

template <>
const braid::flow::KindInfo& braid::flow::kind_of<TopLogprobsDesc>() {
  return ops::kTop;
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
                                 {SampleOperand::log_min_p, rows.log_min_p},
                                 {SampleOperand::ids, into}});
}

Value adjust_logits(Builder& b, Value logits, Value history, Value block_table, Value position,
                    const AdjustedRows& rows, const kernels::AdjustLogitsDesc& desc) {
  using Operand = AdjustLogitsOperand;
  require_whole_rows(b, logits, "whole, fully reduced logits are adjusted");
  b.require(b.num_cols(rows.penalties) == kernels::Penalties::num_columns,
            "a row has one of each penalty", {rows.penalties});
  b.require(b.num_cols(rows.bias_ids) == b.num_cols(rows.biases), "every biased id has a bias",
            {rows.bias_ids, rows.biases});
  const Value out = b.step("adjusted_logits", Format::f32, b.num_rows(logits), b.num_cols(logits),
                           b.placement(logits), b.info(logits).count);
  b.emit(desc, {{Operand::logits, logits},
                {Operand::history, history},
                {Operand::block_table, block_table},
                {Operand::sequence, rows.sequence},
                {Operand::position, position},
                {Operand::prompt_size, rows.prompt_size},
                {Operand::penalties, rows.penalties},
                {Operand::bias_ids, rows.bias_ids},
                {Operand::biases, rows.biases},
                {Operand::out, out}});
  return out;
}

void top_logprobs(Builder& b, Value logits, Value chosen, Value wanted, Value logprobs, Value ids) {
  using Operand = TopLogprobsOperand;
  require_whole_rows(b, logits, "probabilities are of whole, fully reduced logits");
  b.require(b.num_cols(logprobs) == 1 + kernels::kMaxTopLogprobs &&
                b.num_cols(ids) == kernels::kMaxTopLogprobs,
            "there is room for as many ids as can be wanted", {logprobs, ids});
  b.emit(kernels::TopLogprobsDesc{}, {{Operand::logits, logits},
                                      {Operand::chosen, chosen},
                                      {Operand::wanted, wanted},
                                      {Operand::logprobs, logprobs},
                                      {Operand::ids, ids}});
}

}  // namespace braid::ops
