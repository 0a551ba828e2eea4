#include "ops/cuda/register_collectives_cuda.h"

#include <vector>

#include "base/inline_vector.h"
#include "device/cuda/cuda_queue.h"
#include "ops/collectives.h"
#include "ops/exchange.h"
#include "ops/rank_rows.h"
#include "ops/row_parts.h"

namespace braid::ops {
namespace {

using Communicators = std::vector<CudaCommunicator*>;
using flow::Args;
using flow::Type;

Status need_summable(Format format) {
  if (format == Format::f32 || format == Format::bf16) return {};
  return Error(ErrorKind::unsupported, "sums over GPUs are of f32 or bf16")
      .with("format", name_of(format));
}

Status find_communicator(int32_t communicator, int32_t ranks, const Communicators& communicators) {
  const auto id = static_cast<size_t>(communicator);
  if (id < communicators.size() && communicators[id] != nullptr &&
      communicators[id]->members.size() == ranks) {
    return {};
  }
  return Error(ErrorKind::internal, "this rank has no such communicator")
      .with("communicator", communicator)
      .with("ranks", ranks);
}

// The check of kinds that move rows of any format.
template <typename Desc>
Status can_move(const Desc& desc, std::span<const Type> /*types*/,
                const Communicators& communicators) {
  return find_communicator(desc.communicator, desc.ranks, communicators);
}

const CudaCommunicator& communicator_of(int32_t id, const Communicators& communicators) {
  return *communicators[static_cast<size_t>(id)];
}

cudaStream_t stream_of(device::Queue* queue) {
  return static_cast<device::CudaQueue*>(queue)->stream();
}

comm::Rows rows_of(const flow::Arg& arg) {
  return {arg.data, arg.stride, arg.rows, arg.cols, arg.format};
}

comm::DeviceCounts counts_of(const flow::Arg& arg) {
  return {.data = arg.row<const int32_t>(0),
          .stride = arg.stride / static_cast<int64_t>(sizeof(int32_t))};
}

Status can_reduce(const AllReduceDesc& desc, std::span<const Type> types,
                  const Communicators& communicators) {
  TRY(need_summable(types[AllReduceOperand::in].format));
  return find_communicator(desc.communicator, desc.ranks, communicators);
}

int64_t scratch_bytes(const AllReduceDesc& desc, std::span<const Type> types) {
  if (desc.method != ReduceMethod::copy_engine) return 0;
  const Type& in = types[AllReduceOperand::in];
  return comm::CopyEngineGroup::scratch_bytes(in.rows * in.cols, in.format, desc.ranks);
}

void reduce(const AllReduceDesc& desc, Args args, flow::Workspace scratch,
            const Communicators& communicators, device::Queue* queue) {
  const CudaCommunicator& communicator = communicator_of(desc.communicator, communicators);
  const cudaStream_t stream = stream_of(queue);
  const flow::Arg &in = args[AllReduceOperand::in], &out = args[AllReduceOperand::out];
  const int64_t row_bytes = in.cols * bytes_of(in.format);
  BRAID_CHECK(in.stride == row_bytes && out.stride == row_bytes, "(whole rows are summed)");
  const int64_t elements = in.rows * in.cols;
  const Status status =
      desc.method == ReduceMethod::copy_engine
          ? communicator.copy_engines->all_reduce(in.data, out.data, scratch.data, elements,
                                                  in.format, stream)
          : communicator.nccl->all_reduce(in.data, out.data, elements, in.format, stream);
  BRAID_CHECK(status.ok(), "{}", status.to_string());
}

void all_gather(const AllGatherDesc& desc, Args args, flow::Workspace /*scratch*/,
                const Communicators& communicators, device::Queue* queue) {
  const flow::Arg &in = args[AllGatherOperand::in], &out = args[AllGatherOperand::out];
  const int64_t row_bytes = in.cols * bytes_of(in.format);
  BRAID_CHECK(in.stride == row_bytes && out.stride == row_bytes, "(whole rows are gathered)");
  const Status status =
      communicator_of(desc.communicator, communicators)
          .nccl->all_gather(in.data, out.data, in.rows * row_bytes, stream_of(queue));
  BRAID_CHECK(status.ok(), "{}", status.to_string());
}

using Moved = InlineVector<comm::DeviceGather, comm::kMaxMoved>;
static_assert(AllGatherVOperand::kToAll <= comm::kMaxMoved, "all operands are moved at once");

// The operands that an AllGatherVDesc or an AllToAllVDesc moves, and where to. Ids behind the last
// row become −1.
Moved moved_of(Args args) {
  Moved moved;
  for (size_t i = AllGatherVOperand::rows; i < AllGatherVOperand::all_rows; ++i) {
    const flow::Arg &in = args[i], &out = args[i + AllGatherVOperand::kToAll];
    if (in.cols == 0) continue;  // absent: rows that are not quantized have no scales
    moved.push_back({.in = rows_of(in), .out = rows_of(out), .fill = out.format == Format::i32});
  }
  return moved;
}

void gather(const AllGatherVDesc& desc, Args args, flow::Workspace /*scratch*/,
            const Communicators& communicators, device::Queue* queue) {
  const Moved moved = moved_of(args);
  const Status status =
      communicator_of(desc.communicator, communicators)
          .ragged->all_gather_v({moved.begin(), moved.size()},
                                counts_of(args[AllGatherVOperand::counts]), stream_of(queue));
  BRAID_CHECK(status.ok(), "{}", status.to_string());
}

Status can_scatter(const ReduceScatterVDesc& desc, std::span<const Type> types,
                   const Communicators& communicators) {
  TRY(need_summable(types[ReduceScatterVOperand::in].format));
  return find_communicator(desc.communicator, desc.ranks, communicators);
}

template <typename Desc>
int64_t no_scratch(const Desc& /*desc*/, std::span<const Type> /*types*/) {
  return 0;
}

void scatter(const ReduceScatterVDesc& desc, Args args, flow::Workspace /*scratch*/,
             const Communicators& communicators, device::Queue* queue) {
  using Operand = ReduceScatterVOperand;
  const Status status =
      communicator_of(desc.communicator, communicators)
          .ragged->reduce_scatter_v(rows_of(args[Operand::in]), rows_of(args[Operand::out]),
                                    counts_of(args[Operand::counts]), stream_of(queue));
  BRAID_CHECK(status.ok(), "{}", status.to_string());
}

int32_t* words_of(const flow::Arg& arg) {
  BRAID_CHECK(arg.stride == sizeof(int32_t), "(a column of words without gaps)");
  return arg.row<int32_t>(0);
}

void send(const AllToAllVDesc& desc, Args args, flow::Workspace /*scratch*/,
          const Communicators& communicators, device::Queue* queue) {
  using Operand = AllToAllVOperand;
  const Moved moved = moved_of(args);
  const flow::Arg& source = args[Operand::source];
  const comm::DeviceSends sends{.counts = counts_of(args[Operand::counts]),
                                .source = words_of(source),
                                .most = source.rows,
                                .received = words_of(args[Operand::received])};
  const Status status =
      communicator_of(desc.communicator, communicators)
          .ragged->all_to_all_v({moved.begin(), moved.size()}, sends, stream_of(queue));
  BRAID_CHECK(status.ok(), "{}", status.to_string());
}

void send_back(const ReturnRowsDesc& desc, Args args, flow::Workspace /*scratch*/,
               const Communicators& communicators, device::Queue* queue) {
  using Operand = ReturnRowsOperand;
  const comm::DeviceGather rows{.in = rows_of(args[Operand::rows]),
                                .out = rows_of(args[Operand::back])};
  const comm::DeviceSends sends{.counts = counts_of(args[Operand::received]), .most = rows.in.rows};
  const Status status = communicator_of(desc.communicator, communicators)
                            .ragged->all_to_all_v({&rows, 1}, sends, stream_of(queue));
  BRAID_CHECK(status.ok(), "{}", status.to_string());
}

// Elements of each rank's part of these rows.
std::vector<int64_t> part_counts(const flow::Arg& all, int32_t ranks) {
  BRAID_CHECK(all.stride == all.cols * bytes_of(all.format), "(whole rows are moved)");
  std::vector<int64_t> counts;
  for (int32_t member = 0; member < ranks; ++member) {
    const flow::RowRange part = part_of({0, all.rows}, ranks, member);
    counts.push_back((part.last - part.first) * all.cols);
  }
  return counts;
}

template <typename Desc>
Status can_move_parts(const Desc& desc, std::span<const Type> types,
                      const Communicators& communicators) {
  TRY(need_summable(types[ReduceScatterOperand::in].format));
  return find_communicator(desc.communicator, desc.ranks, communicators);
}

void scatter_parts(const ReduceScatterDesc& desc, Args args, flow::Workspace /*scratch*/,
                   const Communicators& communicators, device::Queue* queue) {
  const flow::Arg &in = args[ReduceScatterOperand::in], &out = args[ReduceScatterOperand::out];
  const Status status = communicator_of(desc.communicator, communicators)
                            .nccl->reduce_scatter(in.data, out.data, part_counts(in, desc.ranks),
                                                  in.format, stream_of(queue));
  BRAID_CHECK(status.ok(), "{}", status.to_string());
}

void gather_parts(const GatherPartsDesc& desc, Args args, flow::Workspace /*scratch*/,
                  const Communicators& communicators, device::Queue* queue) {
  const flow::Arg &in = args[GatherPartsOperand::in], &out = args[GatherPartsOperand::out];
  const Status status = communicator_of(desc.communicator, communicators)
                            .nccl->gather_parts(in.data, out.data, part_counts(out, desc.ranks),
                                                out.format, stream_of(queue));
  BRAID_CHECK(status.ok(), "{}", status.to_string());
}

// A launcher from functions that take the rank's communicators.
template <typename Desc>
flow::Launcher launcher_of(const Communicators& of_rank,
                           Status (*check)(const Desc&, std::span<const Type>,
                                           const Communicators&),
                           int64_t (*scratch)(const Desc&, std::span<const Type>),
                           void (*launch)(const Desc&, Args, flow::Workspace, const Communicators&,
                                          device::Queue*)) {
  flow::Launcher launcher;
  launcher.can_implement = [of_rank, check](const void* desc, std::span<const Type> types) {
    return check(*static_cast<const Desc*>(desc), types, of_rank);
  };
  launcher.workspace_bytes = [scratch](const void* desc, std::span<const Type> types) {
    return scratch(*static_cast<const Desc*>(desc), types);
  };
  launcher.launch = [of_rank, launch](const void* desc, Args args, flow::Workspace workspace,
                                      device::Queue* queue) {
    launch(*static_cast<const Desc*>(desc), args, workspace, of_rank, queue);
  };
  return launcher;
}

}  // namespace

void register_collectives_cuda(flow::LauncherTable& table,
                               std::span<CudaCommunicator* const> communicators) {
  const Communicators of_rank(communicators.begin(), communicators.end());
  table.add<AllReduceDesc>(launcher_of<AllReduceDesc>(of_rank, can_reduce, scratch_bytes, reduce));
  table.add<AllGatherDesc>(
      launcher_of<AllGatherDesc>(of_rank, can_move<AllGatherDesc>, no_scratch, all_gather));
  table.add<AllGatherVDesc>(
      launcher_of<AllGatherVDesc>(of_rank, can_move<AllGatherVDesc>, no_scratch, gather));
  table.add<ReduceScatterVDesc>(
      launcher_of<ReduceScatterVDesc>(of_rank, can_scatter, no_scratch, scatter));
  table.add<AllToAllVDesc>(
      launcher_of<AllToAllVDesc>(of_rank, can_move<AllToAllVDesc>, no_scratch, send));
  table.add<ReturnRowsDesc>(
      launcher_of<ReturnRowsDesc>(of_rank, can_move<ReturnRowsDesc>, no_scratch, send_back));
  table.add<ReduceScatterDesc>(launcher_of<ReduceScatterDesc>(
      of_rank, can_move_parts<ReduceScatterDesc>, no_scratch, scatter_parts));
  table.add<GatherPartsDesc>(launcher_of<GatherPartsDesc>(of_rank, can_move_parts<GatherPartsDesc>,
                                                          no_scratch, gather_parts));
}

}  // namespace braid::ops
