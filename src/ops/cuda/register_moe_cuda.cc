#include "ops/cuda/register_moe_cuda.h"

#include "kernels/moe/cuda/exchange.h"
#include "kernels/moe/cuda/experts_down.h"
#include "kernels/moe/cuda/moe.h"
#include "ops/cuda/launcher_util.h"
#include "ops/exchange.h"
#include "ops/moe.h"

namespace braid::ops {
namespace {

Status can_route(const RouteDesc& desc, std::span<const Type> /*types*/) {
  TRY(need_at_most("num_experts", desc.num_experts, kernels::cuda::kMaxRouteExperts));
  return need_at_most("top_k", desc.top_k, kernels::cuda::kMaxTopK);
}

void launch_route(const RouteDesc& desc, Args args, Workspace /*workspace*/, CudaQueue& queue) {
  kernels::cuda::route(desc, route_args<RouteOperand>(args), kernel_stream(queue));
}

Status can_permute(const kernels::PermuteDesc& desc, std::span<const Type> /*types*/) {
  return need_at_most("num_slots", desc.num_slots, kernels::cuda::kMaxPermuteSlots);
}

void launch_permute(const kernels::PermuteDesc& desc, Args args, Workspace /*workspace*/,
                    CudaQueue& queue) {
  const Arg& ids = args[PermuteOperand::ids];
  kernels::cuda::permute(desc, ids.rows, ids.cols, matrix<const int32_t>(ids),
                         slot_table(args[PermuteOperand::table]),
                         pointer<int32_t>(args[PermuteOperand::offsets]),
                         pointer<int32_t>(args[PermuteOperand::source]),
                         matrix<int32_t>(args[PermuteOperand::places]), kernel_stream(queue));
}

void launch_combine(const kernels::CombineDesc& desc, Args args, Workspace /*workspace*/,
                    CudaQueue& queue) {
  const Arg &weights = args[CombineOperand::weights], &out = args[CombineOperand::out];
  with_type(out.format, [&]<typename T>(T) {
    kernels::cuda::combine<T>(desc, out.rows, out.cols, weights.cols,
                              matrix<const T>(args[CombineOperand::grouped]),
                              matrix<const int32_t>(args[CombineOperand::places]),
                              matrix<const float>(weights), matrix<T>(out), kernel_stream(queue));
  });
}

Status can_experts_down(const kernels::ExpertsDownDesc& desc, std::span<const Type> types) {
  const Type& out = types[ExpertsDownOperand::out];
  TRY(need_equal({types[ExpertsDownOperand::x], types[ExpertsDownOperand::weight], out}));
  return kernels::cuda::can_experts_down(
      desc,
      {.n = out.cols, .k = types[ExpertsDownOperand::x].cols, .in = out.format, .out = out.format});
}

// What it reads early is made by the router and the permutation, and weights.
flow::KernelOverlap experts_down_overlap(const kernels::ExpertsDownDesc& /*desc*/,
                                         std::span<const Type> /*types*/) {
  flow::KernelOverlap overlap = flow::kAwaits;
  for (const size_t operand : {ExpertsDownOperand::weight, ExpertsDownOperand::offsets,
                               ExpertsDownOperand::places, ExpertsDownOperand::weights}) {
    overlap.early_operands |= 1u << operand;
  }
  return overlap;
}

void launch_experts_down(const kernels::ExpertsDownDesc& desc, Args args, Workspace workspace,
                         CudaQueue& queue) {
  kernels::cuda::experts_down(desc, experts_down_args<bf16>(args), workspace.data,
                              kernel_stream(queue));
}

void register_routing(flow::LauncherTable& table) {
  table.add<RouteDesc>(Launcher<RouteDesc>{
      .can_implement = can_route, .overlap = flow::awaits<RouteDesc>, .launch = launch_route});
  using Permute = kernels::PermuteDesc;
  table.add<Permute>(Launcher<Permute>{
      .can_implement = can_permute, .overlap = flow::awaits<Permute>, .launch = launch_permute});
  using Combine = kernels::CombineDesc;
  table.add<Combine>(Launcher<Combine>{
      .can_implement = of_one_format<Combine, CombineOperand::grouped, CombineOperand::out>,
      .overlap = flow::awaits<Combine>,
      .launch = launch_combine});
  using Down = kernels::ExpertsDownDesc;
  table.add<Down>(Launcher<Down>{.can_implement = can_experts_down,
                                 .workspace_bytes = experts_down_workspace,
                                 .overlap = experts_down_overlap,
                                 .launch = launch_experts_down});
}

Status can_order(const kernels::RankOrderDesc& desc, std::span<const Type> /*types*/) {
  return need_at_most("ranks", desc.ranks, kernels::cuda::kMaxExchangeRanks);
}

void launch_rank_order(const kernels::RankOrderDesc& desc, Args args, Workspace /*workspace*/,
                       CudaQueue& queue) {
  const Arg& ids = args[RankOrderOperand::ids];
  kernels::cuda::rank_order(desc, ids.rows, ids.cols, matrix<const int32_t>(ids),
                            pointer<int32_t>(args[RankOrderOperand::counts]),
                            pointer<int32_t>(args[RankOrderOperand::source]),
                            matrix<int32_t>(args[RankOrderOperand::places]), kernel_stream(queue));
}

void launch_merge_ranks(const kernels::MergeRanksDesc& /*desc*/, Args args, Workspace /*workspace*/,
                        CudaQueue& queue) {
  const Arg &places = args[MergeRanksOperand::places], &out = args[MergeRanksOperand::out];
  with_type(out.format, [&]<typename T>(T) {
    kernels::cuda::merge_ranks<T>(
        out.rows, out.cols, places.cols, matrix<const T>(args[MergeRanksOperand::back]),
        matrix<const int32_t>(places), matrix<T>(out), kernel_stream(queue));
  });
}

void register_exchange(flow::LauncherTable& table) {
  using Order = kernels::RankOrderDesc;
  table.add<Order>(Launcher<Order>{
      .can_implement = can_order, .overlap = flow::awaits<Order>, .launch = launch_rank_order});
  using Merge = kernels::MergeRanksDesc;
  table.add<Merge>(Launcher<Merge>{
      .can_implement = of_one_format<Merge, MergeRanksOperand::back, MergeRanksOperand::out>,
      .overlap = flow::awaits<Merge>,
      .launch = launch_merge_ranks});
}

}  // namespace

void register_moe_cuda(flow::LauncherTable& table) {
  register_routing(table);
  register_exchange(table);
}

}  // namespace braid::ops
