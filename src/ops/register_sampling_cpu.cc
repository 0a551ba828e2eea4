#include "ops/register_sampling_cpu.h"

#include "kernels/sample/cpu/adjust_logits.h"
#include "kernels/sample/cpu/sample.h"
#include "kernels/sample/cpu/top_logprobs.h"
#include "ops/launch_args.h"
#include "ops/sample.h"

namespace braid::ops {
namespace {

using flow::Arg;
using flow::Args;
using flow::Type;
using flow::Workspace;

void launch_sample(const kernels::SampleDesc& /*desc*/, Args args, Workspace workspace) {
  using Operand = SampleOperand;
  const Arg& logits = args[Operand::logits];
  for (int64_t row = 0; row < logits.live_rows(); ++row) {
    const kernels::cpu::SampleRow how{
        .temperature = *args[Operand::temperature].row<const float>(row),
        .top_p = *args[Operand::top_p].row<const float>(row),
        .top_k = *args[Operand::top_k].row<const int32_t>(row),
        .seed = *args[Operand::seed].row<const uint64_t>(row),
        .position = *args[Operand::position].row<const int32_t>(row),
        .log_min_p = *args[Operand::log_min_p].row<const float>(row)};
    *args[Operand::ids].row<int32_t>(row) =
        kernels::cpu::sample(how, logits.cols, logits.row<const float>(row), workspace.data);
  }
}

void launch_adjust_logits(const kernels::AdjustLogitsDesc& desc, Args args, Workspace workspace) {
  kernels::cpu::adjust_logits(desc, args[AdjustLogitsOperand::out].live_rows(), adjust_args(args),
                              workspace.data);
}

void launch_top_logprobs(const kernels::TopLogprobsDesc& /*desc*/, Args args, Workspace workspace) {
  using Operand = TopLogprobsOperand;
  const Arg& logits = args[Operand::logits];
  for (int64_t row = 0; row < logits.live_rows(); ++row) {
    kernels::cpu::top_logprobs(
        logits.cols, logits.row<const float>(row), *args[Operand::chosen].row<const int32_t>(row),
        *args[Operand::wanted].row<const int32_t>(row), args[Operand::logprobs].row<float>(row),
        args[Operand::ids].row<int32_t>(row), workspace.data);
  }
}

}  // namespace

void register_sampling_cpu(flow::LauncherTable& table) {
  using Sample = kernels::SampleDesc;
  table.add<Sample>({.workspace_bytes =
                         [](const Sample&, std::span<const Type> types) {
                           return kernels::cpu::sample_scratch_bytes(
                               types[SampleOperand::logits].cols);
                         },
                     .launch = launch_sample});
  using Adjust = kernels::AdjustLogitsDesc;
  table.add<Adjust>({.workspace_bytes =
                         [](const Adjust&, std::span<const Type> types) {
                           return kernels::cpu::adjust_scratch_bytes(
                               types[AdjustLogitsOperand::logits].cols);
                         },
                     .launch = launch_adjust_logits});
  using Top = kernels::TopLogprobsDesc;
  table.add<Top>({.workspace_bytes =
                      [](const Top&, std::span<const Type> types) {
                        return kernels::cpu::top_logprobs_scratch_bytes(
                            types[TopLogprobsOperand::logits].cols);
                      },
                  .launch = launch_top_logprobs});
}

}  // namespace braid::ops
