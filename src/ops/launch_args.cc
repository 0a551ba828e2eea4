#include "ops/launch_args.h"

#include <fmt/format.h>

#include "ops/moe.h"

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

kernels::RouteArgs route_args(flow::Args args) {
  const flow::Arg& logits = args[RouteOperand::logits];
  return {.rows = logits.rows,
          .logits = matrix<const float>(logits),
          .bias = pointer<const float>(args[RouteOperand::bias]),
          .slots = pointer<const int32_t>(args[RouteOperand::kv_slots]),
          .forced = matrix<const int32_t>(args[RouteOperand::forced]),
          .popularity = pointer<const float>(args[RouteOperand::popularity]),
          .first_row = logits.first_row,
          .ids = matrix<int32_t>(args[RouteOperand::ids]),
          .weights = matrix<float>(args[RouteOperand::weights]),
          .heat = matrix<uint64_t>(args[RouteOperand::heat])};
}

}  // namespace braid::ops
