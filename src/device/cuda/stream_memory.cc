#include "device/cuda/stream_memory.h"

#include <cuda.h>

#include "base/inline_vector.h"
#include "device/cuda/driver.h"

namespace braid::device {
namespace {

using BatchCall = CUresult (*)(CUstream, unsigned int, CUstreamBatchMemOpParams*, unsigned int);

}  // namespace

Status word_ops(cudaStream_t stream, std::span<const WordOp> ops) {
  static const Result<void*> kCall = find_driver_function("cuStreamBatchMemOp");
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
      params.waitValue = {
          .operation = CU_STREAM_MEM_OP_WAIT_VALUE_32,
          .address = address,
          .value = op.value,
          .flags = op.kind == WordOp::await ? CU_STREAM_WAIT_VALUE_EQ : CU_STREAM_WAIT_VALUE_GEQ};
    }
    batch.push_back(params);
  }
  const CUresult code = reinterpret_cast<BatchCall>(*kCall)(
      stream, static_cast<unsigned int>(batch.size()), &batch[0], 0);
  if (code == CUDA_SUCCESS) return {};
  return Error(ErrorKind::fault, "a stream memory operation failed")
      .with("code", static_cast<int>(code));
}

}  // namespace braid::device
