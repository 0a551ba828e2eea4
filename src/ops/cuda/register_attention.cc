#include "ops/cuda/register_attention.h"

#include "device/cuda/cuda_queue.h"
#include "kernels/attention/cuda/attention.h"
#include "kernels/attention/cuda/attention_plan.h"
#include "kernels/attention/cuda/decode_attention.h"
#include "kernels/attention/cuda/decode_plan.h"
#include "kernels/attention/cuda/mla.h"
#include "ops/attention.h"
#include "ops/cuda/kernel_stream.h"
#include "ops/launch_args.h"

namespace braid::ops {
namespace {

using device::CudaQueue;
using flow::Arg;
using flow::Args;
using flow::Type;
using flow::Workspace;

template <typename Desc>
using Launcher = flow::QueuedLauncher<Desc, CudaQueue>;

Status need_equal(std::initializer_list<Type> types) {
  return need_equal_formats("the GPU", types);
}

void launch_kv_write(const kernels::KvWriteDesc& /*desc*/, Args args, Workspace /*workspace*/,
                     CudaQueue& queue) {
  const Arg& source = args[KvWriteOperand::source];
  with_type(source.format, [&]<typename T>(T) {
    kernels::cuda::kv_write<T>(source.rows, source.cols, matrix<const T>(source),
                               pointer<const int32_t>(args[KvWriteOperand::kv_slots]),
                               matrix<T>(args[KvWriteOperand::cache]), kernel_stream(queue));
  });
}

Status can_attend(const AttentionDesc& desc, std::initializer_list<Type> types) {
  for (const Type& type : types) {
    if (type.format == Format::bf16) continue;
    return Error(ErrorKind::unsupported, "the GPU's attention computes on bf16 only")
        .with("format", name_of(type.format))
        .remedy("Use --dtype bfloat16, or --device cpu.");
  }
  if (kernels::cuda::can_attend(desc)) return {};
  return Error(ErrorKind::unsupported, "the GPU's attention takes heads of 64 or 128 columns")
      .with("head_dim", desc.head_dim)
      .with("num_heads", desc.num_heads)
      .with("num_kv_heads", desc.num_kv_heads)
      .remedy("Use --device cpu.");
}

void launch_attention_plan(const AttentionPlanDesc& desc, Args args, Workspace /*workspace*/,
                           CudaQueue& queue) {
  using Operand = AttentionPlanOperand;
  const kernels::PagedRows rows = paged_rows<Operand>(args);
  kernels::cuda::plan_attention(
      {desc, rows.rows, rows.num_sequences, pointer<int32_t>(args[Operand::plan])}, rows,
      kernel_stream(queue));
}

void launch_attention(const AttentionDesc& desc, Args args, Workspace /*workspace*/,
                      CudaQueue& queue) {
  using Operand = AttentionOperand;
  const kernels::PagedRows rows = paged_rows<Operand>(args);
  const kernels::AttentionPlan plan(kernels::cuda::plan_desc_of(desc), rows.rows,
                                    rows.num_sequences, pointer<int32_t>(args[Operand::plan]));
  kernels::cuda::attention(desc, rows, matrix<const bf16>(args[Operand::q]),
                           matrix<const bf16>(args[Operand::cache]),
                           matrix<bf16>(args[Operand::out]), plan, kernel_stream(queue));
}

void launch_decode_plan(const DecodePlanDesc& desc, Args args, Workspace /*workspace*/,
                        CudaQueue& queue) {
  using Operand = DecodePlanOperand;
  kernels::cuda::plan_decode(desc,
                             {.rows = args[Operand::sequences].rows,
                              .sequences = pointer<const int32_t>(args[Operand::sequences]),
                              .positions = pointer<const int32_t>(args[Operand::positions])},
                             pointer<int32_t>(args[Operand::plan]), kernel_stream(queue));
}

void launch_decode_attention(const DecodeAttentionDesc& desc, Args args, Workspace workspace,
                             CudaQueue& queue) {
  using Operand = DecodeAttentionOperand;
  kernels::cuda::decode_attention(desc,
                                  {.rows = paged_rows<Operand>(args),
                                   .kv_slots = pointer<const int32_t>(args[Operand::kv_slots]),
                                   .qkv = matrix<const bf16>(args[Operand::qkv]),
                                   .q_norm = pointer<const bf16>(args[Operand::q_norm]),
                                   .k_norm = pointer<const bf16>(args[Operand::k_norm]),
                                   .rotary_table = matrix<const float>(args[Operand::rotary_table]),
                                   .plan = pointer<int32_t>(args[Operand::plan]),
                                   .cache = matrix<bf16>(args[Operand::cache]),
                                   .out = matrix<bf16>(args[Operand::out]),
                                   .scratch = workspace.data},
                                  kernel_stream(queue));
}

Status can_attend_latents(const MlaDesc& desc, std::span<const Type> types) {
  using Operand = MlaOperand;
  TRY(need_equal(
      {types[Operand::q], types[Operand::cache], types[Operand::kv_b], types[Operand::out]}));
  if (kernels::cuda::can_attend_latents(desc)) return {};
  return Error(ErrorKind::unsupported, "the latents are wider than the GPU's attention takes")
      .with("kv_lora_rank", desc.kv_lora_rank)
      .with("qk_rope_head_dim", desc.rope_dim)
      .remedy("Use --device cpu.");
}

void launch_mla(const MlaDesc& desc, Args args, Workspace /*workspace*/, CudaQueue& queue) {
  using Operand = MlaOperand;
  const Arg& q = args[Operand::q];
  with_type(q.format, [&]<typename T>(T) {
    kernels::cuda::mla_attention<T>(
        desc, paged_rows<Operand>(args), matrix<const T>(q), matrix<const T>(args[Operand::cache]),
        matrix<const T>(args[Operand::kv_b]), matrix<T>(args[Operand::out]), kernel_stream(queue));
  });
}

}  // namespace

void register_attention_cuda(flow::LauncherTable& table) {
  using Write = kernels::KvWriteDesc;
  table.add<Write>(Launcher<Write>{
      .can_implement =
          [](const Write&, std::span<const Type> types) {
            return need_equal({types[KvWriteOperand::source], types[KvWriteOperand::cache]});
          },
      .overlap = flow::awaits<Write>,
      .launch = launch_kv_write});
  table.add<AttentionPlanDesc>(Launcher<AttentionPlanDesc>{
      .overlap = flow::awaits<AttentionPlanDesc>, .launch = launch_attention_plan});
  table.add<AttentionDesc>(Launcher<AttentionDesc>{
      .can_implement =
          [](const AttentionDesc& desc, std::span<const Type> types) {
            using Operand = AttentionOperand;
            return can_attend(desc,
                              {types[Operand::q], types[Operand::cache], types[Operand::out]});
          },
      .overlap = flow::awaits<AttentionDesc>,
      .launch = launch_attention});
  table.add<DecodePlanDesc>(Launcher<DecodePlanDesc>{.overlap = flow::awaits<DecodePlanDesc>,
                                                     .launch = launch_decode_plan});
  using Decode = DecodeAttentionOperand;
  table.add<DecodeAttentionDesc>(Launcher<DecodeAttentionDesc>{
      .can_implement =
          [](const DecodeAttentionDesc& desc, std::span<const Type> types) {
            return can_attend(desc.attention,
                              {types[Decode::qkv], types[Decode::cache], types[Decode::out]});
          },
      .workspace_bytes =
          [](const DecodeAttentionDesc& desc, std::span<const Type> types) {
            return kernels::cuda::decode_attention_scratch_bytes(desc, types[Decode::qkv].rows,
                                                                 types[Decode::block_table].rows);
          },
      .overlap =
          [](const DecodeAttentionDesc& desc, std::span<const Type>) {
            return kernels::cuda::can_fuse_decode(desc) ? flow::kAwaits : flow::KernelOverlap{};
          },
      .launch = launch_decode_attention});
  table.add<MlaDesc>(Launcher<MlaDesc>{
      .can_implement = can_attend_latents, .overlap = flow::awaits<MlaDesc>, .launch = launch_mla});
}

}  // namespace braid::ops
