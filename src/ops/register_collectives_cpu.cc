#include "ops/register_collectives_cpu.h"

#include <array>
#include <cstring>
#include <vector>

#include "ops/collectives.h"
#include "ops/exchange.h"
#include "ops/rank_rows.h"
#include "ops/row_parts.h"

namespace braid::ops {
namespace {

using Communicators = std::vector<comm::Communicator*>;

comm::Rows rows_of(const flow::Arg& arg) {
  return {arg.data, arg.stride, arg.rows, arg.cols, arg.format};
}

Status find_communicator(int32_t communicator, int32_t ranks, const Communicators& communicators) {
  const auto id = static_cast<size_t>(communicator);
  if (id < communicators.size() && communicators[id]->size() == ranks) return {};
  return Error(ErrorKind::internal, "this rank has no such communicator")
      .with("communicator", communicator)
      .with("ranks", ranks);
}

Status need_summable(Format format) {
  if (format == Format::f32 || format == Format::bf16) return {};
  return Error(ErrorKind::unsupported, "the CPU sums rows of f32 and bf16 only")
      .with("format", name_of(format));
}

Status can_reduce(const AllReduceDesc& desc, std::span<const flow::Type> types) {
  if (desc.method != ReduceMethod::direct) {
    return Error(ErrorKind::unsupported, "the CPU has no copy engines").with("op", "all_reduce");
  }
  return need_summable(types[AllReduceOperand::in].format);
}

template <typename Desc, size_t kOperand>
Status can_sum(const Desc& /*desc*/, std::span<const flow::Type> types) {
  return need_summable(types[kOperand].format);
}

void clear(const comm::Rows& rows, int64_t first, int value) {
  for (int64_t row = first; row < rows.rows; ++row) {
    std::memset(rows.data + row * rows.stride, value,
                static_cast<size_t>(rows.cols * bytes_of(rows.format)));
  }
}

void launch_reduce(const AllReduceDesc& /*desc*/, flow::Args args, flow::Workspace /*scratch*/,
                   comm::Communicator& communicator, device::Queue* queue) {
  const comm::Rows out = rows_of(args[AllReduceOperand::out]);
  if (communicator.all_reduce(rows_of(args[AllReduceOperand::in]), out, queue).ok()) return;
  clear(out, 0, 0);
}

std::span<const int32_t> counts_of(const flow::Arg& arg) {
  return {arg.row<const int32_t>(0), static_cast<size_t>(arg.rows)};
}

void launch_gather(const AllGatherVDesc& /*desc*/, flow::Args args, flow::Workspace /*scratch*/,
                   comm::Communicator& communicator, device::Queue* queue) {
  using Operand = AllGatherVOperand;
  std::array<comm::Gather, Operand::kToAll> buffers;
  size_t count = 0;
  for (size_t in = Operand::rows; in < Operand::all_rows; ++in) {
    if (args[in].cols == 0) continue;  // absent
    buffers[count++] = {rows_of(args[in]), rows_of(args[in + Operand::kToAll])};
  }
  const std::span<const int32_t> counts = counts_of(args[Operand::counts]);
  const bool gathered =
      communicator.all_gather_v(std::span(buffers).first(count), counts, queue).ok();
  const int64_t real = gathered ? comm::total_of(counts) : 0;
  clear(rows_of(args[Operand::all_ids]), real, 0xff);  // ids of −1
}

void launch_scatter(const ReduceScatterVDesc& /*desc*/, flow::Args args,
                    flow::Workspace /*scratch*/, comm::Communicator& communicator,
                    device::Queue* queue) {
  using Operand = ReduceScatterVOperand;
  const comm::Rows in = rows_of(args[Operand::in]), out = rows_of(args[Operand::out]);
  const std::span<const int32_t> counts = counts_of(args[Operand::counts]);
  const bool summed = communicator.reduce_scatter_v(in, out, counts, queue).ok();
  clear(out, summed ? counts[static_cast<size_t>(communicator.rank())] : 0, 0);
}

// Numbers of rows, one a rank.
template <typename Desc>
int64_t counts_bytes(const Desc& desc, std::span<const flow::Type> /*types*/) {
  return int64_t{desc.ranks} * 4;
}
std::span<int32_t> counts_in(flow::Workspace scratch, int32_t ranks) {
  return {reinterpret_cast<int32_t*>(scratch.data), static_cast<size_t>(ranks)};
}

// How many of these rows each rank has.
std::span<const int32_t> part_counts(int64_t rows, int32_t ranks, flow::Workspace scratch) {
  const auto counts = counts_in(scratch, ranks);
  for (int32_t member = 0; member < ranks; ++member) {
    const flow::RowRange part = part_of({0, rows}, ranks, member);
    counts[static_cast<size_t>(member)] = static_cast<int32_t>(part.last - part.first);
  }
  return counts;
}

void launch_scatter_parts(const ReduceScatterDesc& desc, flow::Args args, flow::Workspace scratch,
                          comm::Communicator& communicator, device::Queue* queue) {
  const comm::Rows in = rows_of(args[ReduceScatterOperand::in]);
  const comm::Rows out = rows_of(args[ReduceScatterOperand::out]);
  const auto counts = part_counts(in.rows, desc.ranks, scratch);
  if (!communicator.reduce_scatter_v(in, out, counts, queue).ok()) clear(out, 0, 0);
}

void launch_gather_parts(const GatherPartsDesc& desc, flow::Args args, flow::Workspace scratch,
                         comm::Communicator& communicator, device::Queue* queue) {
  const comm::Gather rows{rows_of(args[GatherPartsOperand::in]),
                          rows_of(args[GatherPartsOperand::out])};
  const auto counts = part_counts(rows.out.rows, desc.ranks, scratch);
  if (!communicator.all_gather_v({&rows, 1}, counts, queue).ok()) clear(rows.out, 0, 0);
}

void launch_all_gather(const AllGatherDesc& desc, flow::Args args, flow::Workspace scratch,
                       comm::Communicator& communicator, device::Queue* queue) {
  const comm::Gather rows{rows_of(args[AllGatherOperand::in]),
                          rows_of(args[AllGatherOperand::out])};
  const auto counts = counts_in(scratch, desc.ranks);
  std::fill(counts.begin(), counts.end(), static_cast<int32_t>(rows.in.rows));
  if (!communicator.all_gather_v({&rows, 1}, counts, queue).ok()) clear(rows.out, 0, 0);
}

// The rows that are sent are packed in scratch memory, one buffer behind the other.
constexpr int64_t kAlignment = 16;
int64_t packed_bytes(int64_t sends, int64_t cols, Format format) {
  const int64_t bytes = sends * cols * bytes_of(format);
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

int64_t send_scratch_bytes(const AllToAllVDesc& /*desc*/, std::span<const flow::Type> types) {
  int64_t bytes = 0;
  for (size_t in = AllToAllVOperand::rows; in < AllToAllVOperand::all_rows; ++in) {
    bytes += packed_bytes(types[AllToAllVOperand::source].rows, types[in].cols, types[in].format);
  }
  return bytes;
}

// Rows source[0], source[1], … of an operand, up to the first −1.
comm::Rows packed(const flow::Arg& from, const flow::Arg& source, std::byte* to) {
  const int64_t row_bytes = from.cols * bytes_of(from.format);
  for (int64_t i = 0; i < source.rows; ++i) {
    const int32_t row = *source.row<const int32_t>(i);
    if (row < 0) break;
    std::memcpy(to + i * row_bytes, from.row<std::byte>(row), static_cast<size_t>(row_bytes));
  }
  return {to, row_bytes, source.rows, from.cols, from.format};
}

void launch_send(const AllToAllVDesc& desc, flow::Args args, flow::Workspace scratch,
                 comm::Communicator& communicator, device::Queue* queue) {
  using Operand = AllToAllVOperand;
  const flow::Arg& source = args[Operand::source];
  std::array<comm::Gather, Operand::kToAll> buffers;
  size_t count = 0;
  for (size_t in = Operand::rows; in < Operand::all_rows; ++in) {
    if (args[in].cols == 0) continue;  // absent
    buffers[count++] = {packed(args[in], source, scratch.data),
                        rows_of(args[in + Operand::kToAll])};
    scratch.data += packed_bytes(source.rows, args[in].cols, args[in].format);
  }
  const std::span<int32_t> received = {args[Operand::received].row<int32_t>(0),
                                       static_cast<size_t>(desc.ranks)};
  const auto* counts = args[Operand::counts].row<const int32_t>(0);
  const Status sent =
      communicator.all_to_all_v(std::span(buffers).first(count), counts, received.data(), queue);
  if (!sent.ok()) std::fill(received.begin(), received.end(), 0);
  clear(rows_of(args[Operand::all_ids]), comm::total_of(received), 0xff);  // ids of −1
}

void launch_return(const ReturnRowsDesc& desc, flow::Args args, flow::Workspace scratch,
                   comm::Communicator& communicator, device::Queue* queue) {
  const comm::Gather rows{rows_of(args[ReturnRowsOperand::rows]),
                          rows_of(args[ReturnRowsOperand::back])};
  const auto* received = args[ReturnRowsOperand::received].row<const int32_t>(0);
  int32_t* returned = counts_in(scratch, desc.ranks).data();  // as many as were sent
  const Status back = communicator.all_to_all_v({&rows, 1}, received, returned, queue);
  if (!back.ok()) clear(rows.out, 0, 0);
}

// The kernel of a kind, beside its communicator.
template <typename Desc>
struct Kernel {
  void (*launch)(const Desc&, flow::Args, flow::Workspace, comm::Communicator&, device::Queue*);
  int64_t (*scratch_bytes)(const Desc&, std::span<const flow::Type>) =
      [](const Desc&, std::span<const flow::Type>) { return int64_t{0}; };
  Status (*check)(const Desc&, std::span<const flow::Type>) =
      [](const Desc&, std::span<const flow::Type>) { return Status(); };
};

template <typename Desc>
void add(flow::LauncherTable& table, const Communicators& of_rank, Kernel<Desc> kernel) {
  flow::Launcher launcher;
  launcher.can_implement = [of_rank, kernel](const void* desc, std::span<const flow::Type> types) {
    const auto& of_kind = *static_cast<const Desc*>(desc);
    TRY(kernel.check(of_kind, types));
    return find_communicator(of_kind.communicator, of_kind.ranks, of_rank);
  };
  launcher.workspace_bytes = [kernel](const void* desc, std::span<const flow::Type> types) {
    return kernel.scratch_bytes(*static_cast<const Desc*>(desc), types);
  };
  launcher.launch = [of_rank, kernel](const void* desc, flow::Args args, flow::Workspace scratch,
                                      device::Queue* queue) {
    const auto& of_kind = *static_cast<const Desc*>(desc);
    comm::Communicator& communicator = *of_rank[static_cast<size_t>(of_kind.communicator)];
    kernel.launch(of_kind, args, scratch, communicator, queue);
  };
  table.add<Desc>(std::move(launcher));
}

}  // namespace

void register_collectives_cpu(flow::LauncherTable& table,
                              std::span<comm::Communicator* const> communicators) {
  const Communicators of_rank(communicators.begin(), communicators.end());
  add<AllReduceDesc>(table, of_rank, {.launch = launch_reduce, .check = can_reduce});
  add<AllGatherDesc>(table, of_rank, {launch_all_gather, counts_bytes});
  add<AllGatherVDesc>(table, of_rank, {launch_gather});
  add<ReduceScatterVDesc>(
      table, of_rank,
      {.launch = launch_scatter, .check = can_sum<ReduceScatterVDesc, ReduceScatterVOperand::in>});
  add<ReduceScatterDesc>(
      table, of_rank,
      {launch_scatter_parts, counts_bytes, can_sum<ReduceScatterDesc, ReduceScatterOperand::in>});
  add<GatherPartsDesc>(table, of_rank, {launch_gather_parts, counts_bytes});
  add<AllToAllVDesc>(table, of_rank, {launch_send, send_scratch_bytes});
  add<ReturnRowsDesc>(table, of_rank, {launch_return, counts_bytes});
}

}  // namespace braid::ops
