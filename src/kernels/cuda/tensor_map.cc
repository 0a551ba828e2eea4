#include "kernels/cuda/tensor_map.h"

#include <cudaTypedefs.h>
#include <cuda_runtime_api.h>

#include <span>

#include "base/status.h"

namespace braid::kernels::cuda {
namespace {

constexpr cuuint32_t kBlockColumns = 64;  // 128 bytes, which the swizzle spans
constexpr int64_t kElementBytes = 2;

PFN_cuTensorMapEncodeTiled_v12000 load_encoder() {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found{};
  const cudaError_t code = cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function,
                                                            12000, cudaEnableDefault, &found);
  BRAID_CHECK(code == cudaSuccess && found == cudaDriverEntryPointSuccess,
              "the driver has no tensor maps: {}", cudaGetErrorString(code));
  return reinterpret_cast<PFN_cuTensorMapEncodeTiled_v12000>(function);
}

// `strides`: bytes, of all dimensions but the first.
CUtensorMap encode(const void* w, std::span<const cuuint64_t> sizes, const cuuint64_t* strides,
                   const cuuint32_t* box, CUtensorMapL2promotion promotion) {
  BRAID_CHECK(reinterpret_cast<uintptr_t>(w) % 16 == 0 && strides[0] % 16 == 0,
              "weights at {}, {} bytes from row to row", w, strides[0]);
  static const PFN_cuTensorMapEncodeTiled_v12000 encoder = load_encoder();
  const cuuint32_t steps[] = {1, 1, 1};
  CUtensorMap map;
  const CUresult code = encoder(
      &map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, static_cast<cuuint32_t>(sizes.size()),
      const_cast<void*>(w), sizes.data(), strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE,
      CU_TENSOR_MAP_SWIZZLE_128B, promotion, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  BRAID_CHECK(code == CUDA_SUCCESS, "tensor map of {} columns by {} rows, stride {}: CUresult {}",
              sizes[0], sizes[1], strides[0], static_cast<int>(code));
  return map;
}

}  // namespace

CUtensorMap weight_tiles(const void* w, int64_t rows, int64_t cols, int64_t stride,
                         int64_t box_rows) {
  const cuuint64_t sizes[] = {static_cast<cuuint64_t>(cols), static_cast<cuuint64_t>(rows)};
  const cuuint64_t strides[] = {static_cast<cuuint64_t>(stride * kElementBytes)};
  const cuuint32_t box[] = {kBlockColumns, static_cast<cuuint32_t>(box_rows)};
  return encode(w, sizes, strides, box, CU_TENSOR_MAP_L2_PROMOTION_L2_256B);
}

CUtensorMap weight_boxes(const void* w, int64_t rows, int64_t cols, int64_t stride,
                         int64_t box_blocks, int64_t box_rows) {
  BRAID_CHECK(cols % kBlockColumns == 0, "{} columns in blocks of {}", cols, kBlockColumns);
  const cuuint64_t sizes[] = {kBlockColumns, static_cast<cuuint64_t>(rows),
                              static_cast<cuuint64_t>(cols) / kBlockColumns};
  const cuuint64_t strides[] = {static_cast<cuuint64_t>(stride * kElementBytes),
                                kBlockColumns * kElementBytes};
  const cuuint32_t box[] = {kBlockColumns, static_cast<cuuint32_t>(box_rows),
                            static_cast<cuuint32_t>(box_blocks)};
  return encode(w, sizes, strides, box, CU_TENSOR_MAP_L2_PROMOTION_NONE);
}

}  // namespace braid::kernels::cuda
