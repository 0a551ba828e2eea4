#include "ops/register_collectives_cpu.h"

#include <cstring>
#include <vector>

#include "ops/collectives.h"

namespace braid::ops {
namespace {

using Communicators = std::vector<comm::Communicator*>;

comm::Rows rows_of(const flow::Arg& arg) {
  return {arg.data, arg.stride, arg.rows, arg.cols, arg.format};
}

Status can_reduce(const AllReduceDesc& desc, std::span<const flow::Type> types,
                  const Communicators& communicators) {
  if (desc.method != ReduceMethod::direct) {
    return Error(ErrorKind::unsupported, "the CPU has no copy engines").with("op", "all_reduce");
  }
  if (types[0].format != Format::f32 && types[0].format != Format::bf16) {
    return Error(ErrorKind::unsupported, "the CPU sums rows of f32 and bf16 only")
        .with("format", name_of(types[0].format));
  }
  const auto id = static_cast<size_t>(desc.communicator);
  if (id >= communicators.size() || communicators[id]->size() != desc.ranks) {
    return Error(ErrorKind::internal, "this rank has no such communicator")
        .with("communicator", desc.communicator)
        .with("ranks", desc.ranks);
  }
  return {};
}

void launch_reduce(const AllReduceDesc& desc, flow::Args args, const Communicators& communicators,
                   device::Queue* queue) {
  const comm::Rows out = rows_of(args[1]);
  comm::Communicator& communicator = *communicators[static_cast<size_t>(desc.communicator)];
  if (communicator.all_reduce(rows_of(args[0]), out, queue).ok()) return;
  for (int64_t row = 0; row < out.rows; ++row) {
    std::memset(out.data + row * out.stride, 0,
                static_cast<size_t>(out.cols * bytes_of(out.format)));
  }
}

}  // namespace

void register_collectives_cpu(flow::LauncherTable& table,
                              std::span<comm::Communicator* const> communicators) {
  const Communicators of_rank(communicators.begin(), communicators.end());
  flow::Launcher launcher;
  launcher.can_implement = [of_rank](const void* desc, std::span<const flow::Type> types) {
    return can_reduce(*static_cast<const AllReduceDesc*>(desc), types, of_rank);
  };
  launcher.workspace_bytes = [](const void*, std::span<const flow::Type>) { return int64_t{0}; };
  launcher.launch = [of_rank](const void* desc, flow::Args args, flow::Workspace,
                              device::Queue* queue) {
    launch_reduce(*static_cast<const AllReduceDesc*>(desc), args, of_rank, queue);
  };
  table.add<AllReduceDesc>(std::move(launcher));
}

}  // namespace braid::ops
