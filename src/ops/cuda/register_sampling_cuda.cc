#include "ops/cuda/register_sampling_cuda.h"

#include "kernels/sample/cuda/adjust_logits.h"
#include "kernels/sample/cuda/sample.h"
#include "kernels/sample/cuda/top_logprobs.h"
#include "ops/cuda/launcher_util.h"
#include "ops/sample.h"

namespace braid::ops {
namespace {

kernels::cuda::Rows rows(const Arg& arg) { return {arg.rows, arg.first_row, arg.count}; }

template <typename Operand, typename Desc>
Status can_sample(const Desc& /*desc*/, std::span<const Type> types) {
  return need_at_most("vocabulary", types[Operand::logits].cols, kernels::cuda::kMaxVocabSize);
}

void launch_sample(const kernels::SampleDesc& /*desc*/, Args args, Workspace /*workspace*/,
                   CudaQueue& queue) {
  using Operand = SampleOperand;
  const Arg& logits = args[Operand::logits];
  kernels::cuda::sample(rows(logits), logits.cols,
                        {.logits = matrix<const float>(logits),
                         .temperature = matrix<const float>(args[Operand::temperature]),
                         .top_p = matrix<const float>(args[Operand::top_p]),
                         .top_k = matrix<const int32_t>(args[Operand::top_k]),
                         .seed = matrix<const uint64_t>(args[Operand::seed]),
                         .position = matrix<const int32_t>(args[Operand::position]),
                         .log_min_p = matrix<const float>(args[Operand::log_min_p]),
                         .ids = matrix<int32_t>(args[Operand::ids])},
                        kernel_stream(queue));
}

void launch_adjust_logits(const kernels::AdjustLogitsDesc& desc, Args args, Workspace /*workspace*/,
                          CudaQueue& queue) {
  kernels::cuda::adjust_logits(desc, rows(args[AdjustLogitsOperand::out]), adjust_args(args),
                               kernel_stream(queue));
}

void launch_top_logprobs(const kernels::TopLogprobsDesc& /*desc*/, Args args,
                         Workspace /*workspace*/, CudaQueue& queue) {
  using Operand = TopLogprobsOperand;
  const Arg& logits = args[Operand::logits];
  kernels::cuda::top_logprobs(rows(logits), logits.cols,
                              {.logits = matrix<const float>(logits),
                               .chosen = pointer<const int32_t>(args[Operand::chosen]),
                               .wanted = pointer<const int32_t>(args[Operand::wanted]),
                               .logprobs = matrix<float>(args[Operand::logprobs]),
                               .ids = matrix<int32_t>(args[Operand::ids])},
                              kernel_stream(queue));
}

}  // namespace

void register_sampling_cuda(flow::LauncherTable& table) {
  using Sample = kernels::SampleDesc;
  table.add<Sample>(Launcher<Sample>{.can_implement = can_sample<SampleOperand>,
                                     .overlap = flow::awaits<Sample>,
                                     .launch = launch_sample});
  using Adjust = kernels::AdjustLogitsDesc;
  table.add<Adjust>(
      Launcher<Adjust>{.overlap = flow::awaits<Adjust>, .launch = launch_adjust_logits});
  using Top = kernels::TopLogprobsDesc;
  table.add<Top>(Launcher<Top>{.can_implement = can_sample<TopLogprobsOperand>,
                               .overlap = flow::awaits<Top>,
                               .launch = launch_top_logprobs});
}

}  // namespace braid::ops
