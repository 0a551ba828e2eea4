// For tests: kernels that overlap, by the seeds of their ops.
#pragma once

#include <map>

#include "flow/overlap.h"
#include "flow/test_kinds.h"

namespace braid::flow::testing {

// All kernels await the one before them but those of `others`, which are named by their ops.
inline KernelOverlaps overlaps_but(std::map<int32_t, KernelOverlap> others = {}) {
  return [others = std::move(others)](const Op& op, std::span<const Type>) {
    const uint64_t seed = op.desc.is<Mix>() ? op.desc.as<Mix>().seed : op.desc.as<Meet>().seed;
    const auto found = others.find(static_cast<int32_t>(seed) - 1);
    return found == others.end() ? kAwaits : found->second;
  };
}

// Of a kernel that also reads these operands early.
inline KernelOverlap reads_early(std::initializer_list<size_t> operands) {
  KernelOverlap overlap = kAwaits;
  for (const size_t operand : operands) overlap.early_operands |= uint32_t{1} << operand;
  return overlap;
}

}  // namespace braid::flow::testing
