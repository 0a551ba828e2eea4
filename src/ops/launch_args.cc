#include "ops/launch_args.h"

#include <fmt/format.h>

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

}  // namespace braid::ops
