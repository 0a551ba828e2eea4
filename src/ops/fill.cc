#include "ops/fill.h"

#include "ops/kind.h"

using braid::flow::Access;
using braid::flow::KindInfo;
using braid::kernels::UniformDesc;

namespace {

constexpr auto kOperands = braid::flow::operand_specs<braid::ops::FillUniformOperand>({
    {braid::ops::FillUniformOperand::out, "out", Access::write},
});
constexpr KindInfo kUniform = {.name = "fill_uniform",
                               .operands = kOperands,
                               .row_invariant = false,  // rows are numbered
                               .work = braid::ops::moves_operands};

}  // namespace

template <>
const KindInfo& braid::flow::kind_of<UniformDesc>() {
  return kUniform;
}
