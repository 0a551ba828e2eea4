#include "ops/register_fused_cpu.h"

#include "kernels/gemm/cpu/gemm.h"
#include "kernels/moe/cpu/moe.h"
#include "kernels/norm/cpu/norm.h"
#include "kernels/rows/cpu/rows.h"
#include "ops/launch_args.h"
#include "ops/norm.h"
#include "ops/route_experts.h"

namespace braid::ops {
namespace {

using flow::Arg;
using flow::Args;
using flow::Type;
using flow::Workspace;

Status can_add_rms_norm(const kernels::AddRmsNormDesc& /*desc*/, std::span<const Type> types) {
  using Operand = AddRmsNormOperand;
  return need_equal_formats(
      "the CPU", {types[Operand::a], types[Operand::b], types[Operand::weight], types[Operand::sum],
                  types[Operand::y]});
}

void launch_add_rms_norm(const kernels::AddRmsNormDesc& desc, Args args, Workspace /*workspace*/) {
  using Operand = AddRmsNormOperand;
  const Arg& sum = args[Operand::sum];
  with_type(sum.format, [&]<typename T>(T) {
    const int64_t rows = sum.live_rows();
    kernels::cpu::add<T>(rows, sum.cols, matrix<const T>(args[Operand::a]),
                         matrix<const T>(args[Operand::b]), matrix<T>(sum));
    kernels::cpu::rms_norm<T>({.eps = desc.eps}, rows, sum.cols, matrix<const T>(sum),
                              pointer<const T>(args[Operand::weight]), matrix<T>(args[Operand::y]));
  });
}

using Operand = RouteExpertsOperand;

Status can_route_experts(const RouteExpertsDesc& /*desc*/, std::span<const Type> types) {
  const Type& x = types[Operand::x];
  if (types[Operand::addend].cols != 0) {
    TRY(need_equal_formats("the CPU", {x, types[Operand::addend], types[Operand::sum]}));
  }
  return need_equal_formats(
      "the CPU", {x, types[Operand::norm_weight], types[Operand::router], types[Operand::normed]});
}

// The kernels of the ops that this one stands for, one after the other.
void launch(const RouteExpertsDesc& desc, Args args, Workspace workspace) {
  const Arg &x = args[Operand::x], &router = args[Operand::router], &ids = args[Operand::ids];
  const int64_t rows = x.rows;
  with_type(x.format, [&]<typename T>(T) {
    kernels::Matrix<const T> in = matrix<const T>(x);
    if (args[Operand::addend].data != nullptr) {
      kernels::cpu::add<T>(rows, x.cols, in, matrix<const T>(args[Operand::addend]),
                           matrix<T>(args[Operand::sum]));
      in = matrix<const T>(args[Operand::sum]);
    }
    kernels::cpu::rms_norm<T>({.eps = desc.norm.eps}, rows, x.cols, in,
                              pointer<const T>(args[Operand::norm_weight]),
                              matrix<T>(args[Operand::normed]));
    kernels::cpu::gemm<T, T, float>(desc.router, rows, router.rows, x.cols,
                                    matrix<const T>(args[Operand::normed]), matrix<const T>(router),
                                    nullptr, matrix<float>(args[Operand::logits]));
  });
  kernels::cpu::route(desc.route, route_args<Operand>(args), workspace.data);
  kernels::cpu::permute(desc.permute, rows, ids.cols, matrix<const int32_t>(ids),
                        slot_table(args[Operand::table]), pointer<int32_t>(args[Operand::offsets]),
                        pointer<int32_t>(args[Operand::source]),
                        matrix<int32_t>(args[Operand::places]));
}

}  // namespace

void register_fused_cpu(flow::LauncherTable& table) {
  using AddNorm = kernels::AddRmsNormDesc;
  table.add<AddNorm>({.can_implement = can_add_rms_norm, .launch = launch_add_rms_norm});
  table.add<RouteExpertsDesc>({.can_implement = can_route_experts,
                               .workspace_bytes =
                                   [](const RouteExpertsDesc& desc, std::span<const Type>) {
                                     return kernels::cpu::route_scratch_bytes(desc.route);
                                   },
                               .launch = launch});
}

}  // namespace braid::ops
