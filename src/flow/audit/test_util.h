// For tests of audits: an op whose kernel has the bugs that audits are there for.
#pragma once

#include "flow/bound_test_util.h"
#include "flow/test_kinds.h"

namespace braid::flow::testing {

// How many elements the kernel reads behind its input and writes behind its output, whether it
// changes its input, and how many bytes from its output's start it writes another one.
struct Sloppy {
  int32_t reads_behind = 0;
  int32_t writes_behind = 0;
  bool changes_input = false;
  int64_t strays_to = 0;  // 0: none
};

struct SloppyOperand {
  enum : size_t { out, in, num_operands };
};

inline constexpr auto kSloppyOperands = operand_specs<SloppyOperand>({
    {SloppyOperand::out, "out", Access::write},
    {SloppyOperand::in, "in", Access::read},
});

inline void sloppy(const Sloppy& desc, Args args, Workspace) {
  const Arg &out = args[SloppyOperand::out], &in = args[SloppyOperand::in];
  uint32_t* from = in.row<uint32_t>(0);
  uint32_t* to = out.row<uint32_t>(0);
  uint32_t sum = 0;
  for (int64_t i = 0; i < in.rows * in.cols + desc.reads_behind; ++i) sum += from[i];
  for (int64_t i = 0; i < out.rows * out.cols + desc.writes_behind; ++i) to[i] = sum + 7;
  if (desc.changes_input) from[5] = ~from[5];
  if (desc.strays_to != 0) out.data[desc.strays_to] ^= std::byte{1};
}

}  // namespace braid::flow::testing

namespace braid::flow {

template <>
inline const KindInfo& kind_of<testing::Sloppy>() {
  static const KindInfo kInfo{.name = "sloppy", .operands = testing::kSloppyOperands};
  return kInfo;
}

}  // namespace braid::flow
