#include "kernels/gemm/cuda/stream_gemm.h"

#include <algorithm>

#include "kernels/cuda/matrix.h"
#include "kernels/cuda/num_sms.h"
#include "kernels/cuda/tensor_map.h"
#include "kernels/gemm/cuda/sm90_stream_gemm.h"

namespace braid::kernels::cuda {
namespace {

constexpr int64_t kTileRows = 8;
constexpr int64_t kBlockColumns = 64;  // of a weight box
constexpr int64_t kFewRows = 8;        // that the narrower kernel takes
constexpr int64_t kAccessBytes = 16;

// A ring is filled before x is waited for, and x's reads come behind those that are on their way:
// the ring of small weights, most of which it holds, is the shorter one.
constexpr int64_t kSmallWeights = int64_t{24} << 20;  // bytes
constexpr int32_t kShortRing = 6;
constexpr int32_t kLongRing = 8;

bool is_aligned(const void* data, int64_t stride, Format format, int64_t bytes) {
  return reinterpret_cast<uintptr_t>(data) % static_cast<uintptr_t>(bytes) == 0 &&
         stride * bytes_of(format) % bytes == 0;
}

}  // namespace

std::optional<StreamGemmConfig> stream_gemm_config(const GemmDesc& desc, const GemmShape& shape,
                                                   int64_t rows) {
  const int64_t most_rows = std::max<int64_t>(desc.tuned_rows, rows);
  if (most_rows > kMostStreamRows) return std::nullopt;
  if (shape.in != Format::bf16 || desc.k_slots != 1) return std::nullopt;
  if (shape.n == 0 || shape.n % kTileRows != 0) return std::nullopt;
  if (shape.k == 0 || shape.k % kBlockColumns != 0) return std::nullopt;
  StreamGemmConfig config;
  config.chunks = static_cast<int32_t>(ceil_div(shape.k, sm90::kChunkColumns));
  config.stages = shape.n * shape.k * bytes_of(shape.in) <= kSmallWeights ? kShortRing : kLongRing;
  config.norm = shape.norm && most_rows <= sm90::kMostNormRows &&
                config.chunks >= sm90::kLeastNormChunks && config.chunks <= sm90::kMostNormChunks;
  return config;
}

bool can_stream(const GemmShape& shape, const GemmOperands& operands) {
  const int64_t pair = 2 * bytes_of(shape.out);
  return is_aligned(operands.x, operands.x_stride, shape.in, kAccessBytes) &&
         is_aligned(operands.w, operands.w_stride, shape.in, kAccessBytes) &&
         is_aligned(operands.norm_weight, 0, shape.in, kAccessBytes) &&
         is_aligned(operands.bias, 0, shape.in, 2 * bytes_of(shape.in)) &&
         is_aligned(operands.y, operands.y_stride, shape.out, pair) &&
         is_aligned(operands.residual, operands.residual_stride, shape.out, pair);
}

void stream_gemm(const GemmDesc& desc, const GemmShape& shape, const StreamGemmConfig& config,
                 int64_t rows, const GemmOperands& operands, const KernelStream& on,
                 int32_t sm_count) {
  BRAID_CHECK(rows <= kMostStreamRows && can_stream(shape, operands), "rows {} x {} w {} y {}",
              rows, operands.x, operands.w, operands.y);
  const sm90::StreamGemmParams params = {
      .x = operands.x,
      .x_stride = operands.x_stride,
      .rows = static_cast<int32_t>(rows),
      .k = static_cast<int32_t>(shape.k),
      .chunks = config.chunks,
      .tiles = static_cast<int32_t>(shape.n / kTileRows),
      .bias = operands.bias,
      .norm_weight = config.norm ? operands.norm_weight : nullptr,
      .norm_eps = desc.norm_eps,
      .residual = operands.residual,
      .residual_stride = operands.residual_stride,
      .y = operands.y,
      .y_stride = operands.y_stride,
      .f32_y = shape.out == Format::f32,
      .swiglu = desc.epilogue == Epilogue::swiglu,
      .constant_weights = on.constant_weights,
      .stages = config.stages};
  const CUtensorMap weights = weight_boxes(operands.w, shape.n, shape.k, operands.w_stride,
                                           sm90::kChunkColumns / kBlockColumns);
  const int blocks = std::min(params.tiles, sm_count > 0 ? sm_count : num_sms());
  sm90::StreamGemmLaunch* launch = rows <= kFewRows ? sm90::stream_gemm_8 : sm90::stream_gemm_16;
  launch(weights, params, on, blocks);
}

std::string to_string(const StreamGemmConfig& config) {
  return fmt::format("stream {}x{}, {} chunks, {} stages of {} KiB{}", kTileRows,
                     sm90::kChunkColumns, config.chunks, config.stages,
                     kTileRows * sm90::kChunkColumns * 2 / 1024, config.norm ? ", norm" : "");
}

}  // namespace braid::kernels::cuda
