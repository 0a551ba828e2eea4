#include "ops/register_attention_cpu.h"

#include "kernels/attention/cpu/attention.h"
#include "kernels/attention/cpu/attention_plan.h"
#include "kernels/attention/cpu/decode_attention.h"
#include "ops/attention.h"
#include "ops/launch_args.h"

namespace braid::ops {
namespace {

using flow::Arg;
using flow::Args;
using flow::Type;
using flow::Workspace;

// The check of a kind whose operands kOperands have one format that the CPU computes on.
template <typename Desc, size_t... kOperands>
Status of_one_format(const Desc& /*desc*/, std::span<const Type> types) {
  return need_equal_formats("the CPU", {types[kOperands]...});
}

void launch_kv_write(const kernels::KvWriteDesc& /*desc*/, Args args, Workspace /*workspace*/) {
  const Arg& source = args[KvWriteOperand::source];
  with_type(source.format, [&]<typename T>(T) {
    kernels::cpu::kv_write<T>(source.rows, source.cols, matrix<const T>(source),
                              pointer<const int32_t>(args[KvWriteOperand::kv_slots]),
                              matrix<T>(args[KvWriteOperand::cache]));
  });
}

void launch_attention(const AttentionDesc& desc, Args args, Workspace workspace) {
  using Operand = AttentionOperand;
  const Arg& q = args[Operand::q];
  with_type(q.format, [&]<typename T>(T) {
    kernels::cpu::attention<T>(desc, paged_rows<Operand>(args), matrix<const T>(q),
                               matrix<const T>(args[Operand::cache]), matrix<T>(args[Operand::out]),
                               workspace.data);
  });
}

void launch_attention_plan(const AttentionPlanDesc& desc, Args args, Workspace /*workspace*/) {
  using Operand = AttentionPlanOperand;
  const kernels::PagedRows rows = paged_rows<Operand>(args);
  kernels::cpu::plan_attention(
      {desc, rows.rows, rows.num_sequences, pointer<int32_t>(args[Operand::plan])}, rows);
}

void launch_decode_plan(const DecodePlanDesc& desc, Args args, Workspace /*workspace*/) {
  using Operand = DecodePlanOperand;
  kernels::cpu::plan_decode(desc,
                            {.rows = args[Operand::sequences].rows,
                             .sequences = pointer<const int32_t>(args[Operand::sequences]),
                             .positions = pointer<const int32_t>(args[Operand::positions])},
                            pointer<int32_t>(args[Operand::plan]));
}

void launch_decode_attention(const DecodeAttentionDesc& desc, Args args, Workspace workspace) {
  using Operand = DecodeAttentionOperand;
  with_type(args[Operand::qkv].format, [&]<typename T>(T) {
    kernels::cpu::decode_attention<T>(
        desc,
        {.rows = paged_rows<Operand>(args),
         .kv_slots = pointer<const int32_t>(args[Operand::kv_slots]),
         .qkv = matrix<const T>(args[Operand::qkv]),
         .q_norm = pointer<const T>(args[Operand::q_norm]),
         .k_norm = pointer<const T>(args[Operand::k_norm]),
         .rotary_table = matrix<const float>(args[Operand::rotary_table]),
         .plan = pointer<int32_t>(args[Operand::plan]),
         .cache = matrix<T>(args[Operand::cache]),
         .out = matrix<T>(args[Operand::out])},
        workspace.data);
  });
}

void launch_mla(const MlaDesc& desc, Args args, Workspace workspace) {
  using Operand = MlaOperand;
  const Arg& q = args[Operand::q];
  with_type(q.format, [&]<typename T>(T) {
    kernels::cpu::mla_attention<T>(
        desc, paged_rows<Operand>(args), matrix<const T>(q), matrix<const T>(args[Operand::cache]),
        matrix<const T>(args[Operand::kv_b]), matrix<T>(args[Operand::out]), workspace.data);
  });
}

}  // namespace

void register_attention_cpu(flow::LauncherTable& table) {
  using Write = kernels::KvWriteDesc;
  table.add<Write>(
      {.can_implement = of_one_format<Write, KvWriteOperand::source, KvWriteOperand::cache>,
       .launch = launch_kv_write});
  table.add<AttentionDesc>(
      {.can_implement = of_one_format<AttentionDesc, AttentionOperand::q, AttentionOperand::cache,
                                      AttentionOperand::out>,
       .workspace_bytes =
           [](const AttentionDesc& desc, std::span<const Type> types) {
             return kernels::cpu::attention_scratch_bytes(
                 desc, types[AttentionOperand::block_table].cols * desc.page_size);
           },
       .launch = launch_attention});
  table.add<AttentionPlanDesc>({.launch = launch_attention_plan});
  table.add<DecodePlanDesc>({.launch = launch_decode_plan});
  using Decode = DecodeAttentionOperand;
  table.add<DecodeAttentionDesc>(
      {.can_implement = of_one_format<DecodeAttentionDesc, Decode::qkv, Decode::cache, Decode::out>,
       .workspace_bytes =
           [](const DecodeAttentionDesc& desc, std::span<const Type> types) {
             return kernels::cpu::decode_attention_scratch_bytes(
                 desc, types[Decode::qkv].rows, bytes_of(types[Decode::qkv].format),
                 types[Decode::block_table].cols * desc.attention.page_size);
           },
       .launch = launch_decode_attention});
  table.add<MlaDesc>({.can_implement = of_one_format<MlaDesc, MlaOperand::q, MlaOperand::cache,
                                                     MlaOperand::kv_b, MlaOperand::out>,
                      .workspace_bytes =
                          [](const MlaDesc& desc, std::span<const Type> types) {
                            return kernels::cpu::mla_scratch_bytes(
                                desc, types[MlaOperand::block_table].cols * desc.page_size);
                          },
                      .launch = launch_mla});
}

}  // namespace braid::ops
