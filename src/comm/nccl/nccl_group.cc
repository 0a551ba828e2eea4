#include "comm/nccl/nccl_group.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "device/cuda/cuda_error.h"

namespace braid::comm {
namespace {

Status nccl_status(ncclResult_t code, std::string_view call) {
  if (code == ncclSuccess) return {};
  return Error(ErrorKind::fault, "an NCCL call failed")
      .with("call", call)
      .with("error", ncclGetErrorString(code));
}

#define NCCL_TRY(call) TRY(nccl_status((call), #call))

Result<ncclDataType_t> type_of(Format format) {
  switch (format) {
    case Format::f32: return ncclFloat32;
    case Format::bf16: return ncclBfloat16;
    default: break;
  }
  return Error(ErrorKind::unsupported, "sums over ranks are of f32 or bf16")
      .with("format", name_of(format));
}

// Every group's first member makes up an id, which the others take: the control plane brings all
// ids to all ranks, so that groups connect at the same time.
Result<ncclComm_t> connect(ControlPlane& control, const Members& members, int max_blocks) {
  ncclUniqueId id{};
  if (members.index == 0) NCCL_TRY(ncclGetUniqueId(&id));
  const auto all = TRY(control.all_gather({id.internal, sizeof(id.internal)}));
  const std::string& of_first = all[static_cast<size_t>(members.ranks.front())];
  std::memcpy(id.internal, of_first.data(), sizeof(id.internal));
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  if (max_blocks > 0) config.maxCTAs = max_blocks;
  ncclComm_t communicator = nullptr;
  NCCL_TRY(ncclCommInitRankConfig(&communicator, members.size(), id, members.index, &config));
  return communicator;
}

}  // namespace

Result<std::unique_ptr<NcclGroup>> NcclGroup::create(ControlPlane& control, const Members& members,
                                                     int max_blocks) {
  std::unique_ptr<NcclGroup> group(new NcclGroup);
  group->member_ = members.index;
  group->eager_ = TRY(connect(control, members, max_blocks));
  group->captured_ = TRY(connect(control, members, max_blocks));
  return group;
}

NcclGroup::~NcclGroup() {
  if (captured_ != nullptr) ncclCommDestroy(captured_);
  if (eager_ != nullptr) ncclCommDestroy(eager_);
}

Result<ncclComm_t> NcclGroup::communicator_for(cudaStream_t stream) const {
  cudaStreamCaptureStatus status{};
  CUDA_TRY(cudaStreamIsCapturing(stream, &status));
  return status == cudaStreamCaptureStatusActive ? captured_ : eager_;
}

Status NcclGroup::all_reduce(const void* in, void* out, int64_t elements, Format format,
                             cudaStream_t stream) {
  const ncclComm_t communicator = TRY(communicator_for(stream));
  const ncclDataType_t type = TRY(type_of(format));
  NCCL_TRY(
      ncclAllReduce(in, out, static_cast<size_t>(elements), type, ncclSum, communicator, stream));
  return {};
}

namespace {

bool equal_counts(std::span<const int64_t> counts) {
  return std::all_of(counts.begin(), counts.end(),
                     [&](int64_t count) { return count == counts.front(); });
}

// Calls each(member, count, bytes before it) for the parts of all members as one group of calls.
template <typename Each>
Status for_each_part(std::span<const int64_t> counts, Format format, Each each) {
  NCCL_TRY(ncclGroupStart());
  int64_t first = 0;
  for (size_t member = 0; member < counts.size(); ++member) {
    NCCL_TRY(each(static_cast<int>(member), static_cast<size_t>(counts[member]),
                  first * bytes_of(format)));
    first += counts[member];
  }
  NCCL_TRY(ncclGroupEnd());
  return {};
}

}  // namespace

Status NcclGroup::reduce_scatter(const void* in, void* out, std::span<const int64_t> counts,
                                 Format format, cudaStream_t stream) {
  const ncclComm_t communicator = TRY(communicator_for(stream));
  const ncclDataType_t type = TRY(type_of(format));
  if (equal_counts(counts)) {
    NCCL_TRY(ncclReduceScatter(in, out, static_cast<size_t>(counts[0]), type, ncclSum, communicator,
                               stream));
    return {};
  }
  return for_each_part(counts, format, [&](int member, size_t count, int64_t offset) {
    const auto* part = static_cast<const std::byte*>(in) + offset;
    return ncclReduce(part, out, count, type, ncclSum, member, communicator, stream);
  });
}

Status NcclGroup::gather_parts(const void* in, void* out, std::span<const int64_t> counts,
                               Format format, cudaStream_t stream) {
  const ncclComm_t communicator = TRY(communicator_for(stream));
  const ncclDataType_t type = TRY(type_of(format));
  if (equal_counts(counts)) {
    NCCL_TRY(ncclAllGather(in, out, static_cast<size_t>(counts[0]), type, communicator, stream));
    return {};
  }
  return for_each_part(counts, format, [&](int member, size_t count, int64_t offset) {
    auto* part = static_cast<std::byte*>(out) + offset;
    const void* from = member == member_ ? in : part;
    return ncclBroadcast(from, part, count, type, member, communicator, stream);
  });
}

Status NcclGroup::all_gather(const void* in, void* out, int64_t bytes, cudaStream_t stream) {
  const ncclComm_t communicator = TRY(communicator_for(stream));
  NCCL_TRY(ncclAllGather(in, out, static_cast<size_t>(bytes), ncclUint8, communicator, stream));
  return {};
}

}  // namespace braid::comm
