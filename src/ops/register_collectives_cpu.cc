#include "ops/register_collectives_cpu.h"

#include <array>
#include <cstring>
#include <vector>

#include "ops/collectives.h"
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

Status can_reduce(const AllReduceDesc& desc, std::span<const flow::Type> types,
                  const Communicators& communicators) {
  if (desc.method != ReduceMethod::direct) {
    return Error(ErrorKind::unsupported, "the CPU has no copy engines").with("op", "all_reduce");
  }
  TRY(need_summable(types[0].format));
  return find_communicator(desc.communicator, desc.ranks, communicators);
}

void clear(const comm::Rows& rows, int64_t first, int value) {
  for (int64_t row = first; row < rows.rows; ++row) {
    std::memset(rows.data + row * rows.stride, value,
                static_cast<size_t>(rows.cols * bytes_of(rows.format)));
  }
}

void launch_reduce(const AllReduceDesc& desc, flow::Args args, const Communicators& communicators,
                   device::Queue* queue) {
  const comm::Rows out = rows_of(args[1]);
  comm::Communicator& communicator = *communicators[static_cast<size_t>(desc.communicator)];
  if (communicator.all_reduce(rows_of(args[0]), out, queue).ok()) return;
  clear(out, 0, 0);
}

std::span<const int32_t> counts_of(const flow::Arg& arg) {
  return {arg.row<const int32_t>(0), static_cast<size_t>(arg.rows)};
}

void launch_gather(const AllGatherVDesc& desc, flow::Args args, const Communicators& communicators,
                   device::Queue* queue) {
  comm::Communicator& communicator = *communicators[static_cast<size_t>(desc.communicator)];
  std::array<comm::Gather, 3> buffers;
  for (size_t i = 0; i < 3; ++i) buffers[i] = {rows_of(args[1 + i]), rows_of(args[4 + i])};
  const std::span<const int32_t> counts = counts_of(args[0]);
  const bool gathered = communicator.all_gather_v(buffers, counts, queue).ok();
  clear(buffers[1].out, gathered ? comm::total_of(counts) : 0, 0xff);  // ids of −1
}

void launch_scatter(const ReduceScatterVDesc& desc, flow::Args args,
                    const Communicators& communicators, device::Queue* queue) {
  comm::Communicator& communicator = *communicators[static_cast<size_t>(desc.communicator)];
  const comm::Rows out = rows_of(args[2]);
  const std::span<const int32_t> counts = counts_of(args[0]);
  const bool summed = communicator.reduce_scatter_v(rows_of(args[1]), out, counts, queue).ok();
  clear(out, summed ? counts[static_cast<size_t>(communicator.rank())] : 0, 0);
}

// How many of these rows each rank has.
std::vector<int32_t> part_counts(int64_t rows, int32_t ranks) {
  std::vector<int32_t> counts;
  for (int32_t member = 0; member < ranks; ++member) {
    const flow::RowRange part = part_of({0, rows}, ranks, member);
    counts.push_back(static_cast<int32_t>(part.last - part.first));
  }
  return counts;
}

void launch_scatter_parts(const ReduceScatterDesc& desc, flow::Args args,
                          const Communicators& communicators, device::Queue* queue) {
  comm::Communicator& communicator = *communicators[static_cast<size_t>(desc.communicator)];
  const comm::Rows in = rows_of(args[0]), out = rows_of(args[1]);
  const auto counts = part_counts(in.rows, desc.ranks);
  if (!communicator.reduce_scatter_v(in, out, counts, queue).ok()) clear(out, 0, 0);
}

void launch_gather_parts(const GatherPartsDesc& desc, flow::Args args,
                         const Communicators& communicators, device::Queue* queue) {
  comm::Communicator& communicator = *communicators[static_cast<size_t>(desc.communicator)];
  const comm::Gather rows{rows_of(args[0]), rows_of(args[1])};
  const auto counts = part_counts(rows.out.rows, desc.ranks);
  if (!communicator.all_gather_v({&rows, 1}, counts, queue).ok()) clear(rows.out, 0, 0);
}

// A launcher without scratch memory from functions that take the rank's communicators.
template <typename Desc>
flow::Launcher launcher_of(Communicators of_rank,
                           Status (*check)(const Desc&, std::span<const flow::Type>,
                                           const Communicators&),
                           void (*launch)(const Desc&, flow::Args, const Communicators&,
                                          device::Queue*)) {
  flow::Launcher launcher;
  launcher.can_implement = [of_rank, check](const void* desc, std::span<const flow::Type> types) {
    return check(*static_cast<const Desc*>(desc), types, of_rank);
  };
  launcher.workspace_bytes = [](const void*, std::span<const flow::Type>) { return int64_t{0}; };
  launcher.launch = [of_rank, launch](const void* desc, flow::Args args, flow::Workspace,
                                      device::Queue* queue) {
    launch(*static_cast<const Desc*>(desc), args, of_rank, queue);
  };
  return launcher;
}

void launch_all_gather(const AllGatherDesc& desc, flow::Args args,
                       const Communicators& communicators, device::Queue* queue) {
  comm::Communicator& communicator = *communicators[static_cast<size_t>(desc.communicator)];
  const comm::Gather rows{rows_of(args[0]), rows_of(args[1])};
  const std::vector<int32_t> counts(static_cast<size_t>(desc.ranks),
                                    static_cast<int32_t>(rows.in.rows));
  if (communicator.all_gather_v({&rows, 1}, counts, queue).ok()) return;
  clear(rows.out, 0, 0);
}

Status can_all_gather(const AllGatherDesc& desc, std::span<const flow::Type> /*types*/,
                      const Communicators& communicators) {
  return find_communicator(desc.communicator, desc.ranks, communicators);
}

Status can_gather(const AllGatherVDesc& desc, std::span<const flow::Type> /*types*/,
                  const Communicators& communicators) {
  return find_communicator(desc.communicator, desc.ranks, communicators);
}

Status can_scatter(const ReduceScatterVDesc& desc, std::span<const flow::Type> types,
                   const Communicators& communicators) {
  TRY(need_summable(types[1].format));
  return find_communicator(desc.communicator, desc.ranks, communicators);
}

Status can_scatter_parts(const ReduceScatterDesc& desc, std::span<const flow::Type> types,
                         const Communicators& communicators) {
  TRY(need_summable(types[0].format));
  return find_communicator(desc.communicator, desc.ranks, communicators);
}

Status can_gather_parts(const GatherPartsDesc& desc, std::span<const flow::Type> /*types*/,
                        const Communicators& communicators) {
  return find_communicator(desc.communicator, desc.ranks, communicators);
}

}  // namespace

void register_collectives_cpu(flow::LauncherTable& table,
                              std::span<comm::Communicator* const> communicators) {
  const Communicators of_rank(communicators.begin(), communicators.end());
  table.add<AllReduceDesc>(launcher_of<AllReduceDesc>(of_rank, can_reduce, launch_reduce));
  table.add<AllGatherDesc>(launcher_of<AllGatherDesc>(of_rank, can_all_gather, launch_all_gather));
  table.add<AllGatherVDesc>(launcher_of<AllGatherVDesc>(of_rank, can_gather, launch_gather));
  table.add<ReduceScatterVDesc>(
      launcher_of<ReduceScatterVDesc>(of_rank, can_scatter, launch_scatter));
  table.add<ReduceScatterDesc>(
      launcher_of<ReduceScatterDesc>(of_rank, can_scatter_parts, launch_scatter_parts));
  table.add<GatherPartsDesc>(
      launcher_of<GatherPartsDesc>(of_rank, can_gather_parts, launch_gather_parts));
}

}  // namespace braid::ops
