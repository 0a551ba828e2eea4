#include "ops/launch_args.h"

#include <fmt/format.h>

#include "ops/rows.h"
#include "ops/sample.h"

namespace braid::ops {

Status need_equal_formats(std::string_view device, std::initializer_list<flow::Type> types) {
  for (const flow::Type& type : types) {
    if (type.format == Format::f32 || type.format == Format::bf16) continue;
    return Error(ErrorKind::unsupported, fmt::format("{} computes on f32 and bf16 only", device))
        .with("format", name_of(type.format));
  }
  const Format first = types.begin()->format;
  for (const flow::Type& type : types) {
    if (type.format == first) continue;
    return Error(ErrorKind::unsupported,
                 fmt::format("{}'s kernels take operands of one format", device))
        .with("format", name_of(first))
        .with("other", name_of(type.format));
  }
  return {};
}

kernels::InputIdsArgs input_ids_args(flow::Args args) {
  using Operand = InputIdsOperand;
  return {.given = pointer<const int32_t>(args[Operand::given]),
          .source = pointer<const int32_t>(args[Operand::source]),
          .sampled = pointer<const int32_t>(args[Operand::sampled]),
          .kv_slots = pointer<const int32_t>(args[Operand::kv_slots]),
          .out = pointer<int32_t>(args[Operand::out]),
          .history = pointer<int32_t>(args[Operand::history])};
}

kernels::AdjustArgs adjust_args(flow::Args args) {
  using Operand = AdjustLogitsOperand;
  const flow::Arg &logits = args[Operand::logits], &bias_ids = args[Operand::bias_ids];
  return {.vocab_size = logits.cols,
          .logits = matrix<const float>(logits),
          .history = pointer<const int32_t>(args[Operand::history]),
          .block_table = matrix<const int32_t>(args[Operand::block_table]),
          .sequences = pointer<const int32_t>(args[Operand::sequence]),
          .positions = pointer<const int32_t>(args[Operand::position]),
          .prompt_size = pointer<const int32_t>(args[Operand::prompt_size]),
          .penalties = matrix<const float>(args[Operand::penalties]),
          .bias_ids = matrix<const int32_t>(bias_ids),
          .biases = matrix<const float>(args[Operand::biases]),
          .num_biases = bias_ids.cols,
          .out = matrix<float>(args[Operand::out])};
}

}  // namespace braid::ops
