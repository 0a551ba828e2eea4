#include "ops/cuda/register_collectives_cuda.h"

#include <vector>

#include "device/cuda/cuda_queue.h"
#include "ops/collectives.h"

namespace braid::ops {
namespace {

using Communicators = std::vector<CudaCommunicator*>;
using flow::Args;
using flow::Type;

Status can_reduce(const AllReduceDesc& desc, std::span<const Type> types,
                  const Communicators& communicators) {
  if (types[0].format != Format::f32 && types[0].format != Format::bf16) {
    return Error(ErrorKind::unsupported, "sums over GPUs are of f32 or bf16")
        .with("format", name_of(types[0].format));
  }
  const auto id = static_cast<size_t>(desc.communicator);
  if (id < communicators.size() && communicators[id] != nullptr &&
      communicators[id]->ranks == desc.ranks) {
    return {};
  }
  return Error(ErrorKind::internal, "this rank has no such communicator")
      .with("communicator", desc.communicator)
      .with("ranks", desc.ranks);
}

int64_t scratch_bytes(const AllReduceDesc& desc, std::span<const Type> types) {
  if (desc.method != ReduceMethod::copy_engine) return 0;
  return comm::CopyEngineGroup::scratch_bytes(types[0].rows * types[0].cols, types[0].format,
                                              desc.ranks);
}

void reduce(const AllReduceDesc& desc, Args args, flow::Workspace scratch,
            const Communicators& communicators, device::Queue* queue) {
  const CudaCommunicator& communicator = *communicators[static_cast<size_t>(desc.communicator)];
  const cudaStream_t stream = static_cast<device::CudaQueue*>(queue)->stream();
  const flow::Arg &in = args[0], &out = args[1];
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

}  // namespace

void register_collectives_cuda(flow::LauncherTable& table,
                               std::span<CudaCommunicator* const> communicators) {
  const Communicators of_rank(communicators.begin(), communicators.end());
  flow::Launcher launcher;
  launcher.can_implement = [of_rank](const void* desc, std::span<const Type> types) {
    return can_reduce(*static_cast<const AllReduceDesc*>(desc), types, of_rank);
  };
  launcher.workspace_bytes = [](const void* desc, std::span<const Type> types) {
    return scratch_bytes(*static_cast<const AllReduceDesc*>(desc), types);
  };
  launcher.launch = [of_rank](const void* desc, Args args, flow::Workspace scratch,
                              device::Queue* queue) {
    reduce(*static_cast<const AllReduceDesc*>(desc), args, scratch, of_rank, queue);
  };
  table.add<AllReduceDesc>(std::move(launcher));
}

}  // namespace braid::ops
