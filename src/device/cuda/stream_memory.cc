#include "device/cuda/stream_memory.h"

#include <cuda.h>

#include "base/inline_vector.h"
#include "device/cuda/cuda_error.h"

namespace braid::device {
namespace {

// The driver's function, found at run time: braid does not link the driver's library.
using BatchCall = CUresult (*)(CUstream, unsigned int, CUstreamBatchMemOpParams*, unsigned int);

Result<BatchCall> find_batch_call() {
  void* found = nullptr;
  cudaDriverEntryPointQueryResult result{};
  // 12000: the version of the driver's interface whose form of the call is meant.
  CUDA_TRY(cudaGetDriverEntryPointByVersion("cuStreamBatchMemOp", &found, 12000, cudaEnableDefault,
                                            &result));
  if (result != cudaDriverEntryPointSuccess) {
    return Error(ErrorKind::unsupported, "the GPU's driver lacks stream memory operations")
        .remedy("Update the driver.");
  }
  return reinterpret_cast<BatchCall>(found);
}

}  // namespace

Status word_ops(cudaStream_t stream, std::span<const WordOp> ops) {
  static const Result<BatchCall> kCall = find_batch_call();
  TRY(kCall.status());
  InlineVector<CUstreamBatchMemOpParams, kMaxWordOps> batch;
  for (const WordOp& op : ops) {
    CUstreamBatchMemOpParams params{};
    const auto address = reinterpret_cast<CUdeviceptr>(op.word);
    if (op.kind == WordOp::write) {
      params.writeValue = {.operation = CU_STREAM_MEM_OP_WRITE_VALUE_32,
                           .address = address,
                           .value = op.value,
                           .flags = CU_STREAM_WRITE_VALUE_DEFAULT};
    } else {
      params.waitValue = {.operation = CU_STREAM_MEM_OP_WAIT_VALUE_32,
                          .address = address,
                          .value = op.value,
                          .flags = CU_STREAM_WAIT_VALUE_EQ};
    }
    batch.push_back(params);
  }
  const CUresult code = (*kCall)(stream, static_cast<unsigned int>(batch.size()), &batch[0], 0);
  if (code == CUDA_SUCCESS) return {};
  return Error(ErrorKind::fault, "a stream memory operation failed")
      .with("code", static_cast<int>(code));
}

}  // namespace braid::device
