#include "kernels/gemm/cuda/grouped_gemm.h"

#include <algorithm>
#include <limits>

#include "kernels/cuda/num_sms.h"
#include "kernels/cuda/tensor_map.h"
#include "kernels/gemm/cuda/sm90_grouped_gemm.h"
#include "kernels/gemm/cuda/stream_grouped.h"

namespace braid::kernels::cuda {
namespace {

// Average rows of a slot up to which the smaller tiles are taken. While there are so few, the time
// is that of reading the weights, and what counts is how many blocks read at once.
constexpr int64_t kFewRows = 8;
constexpr int64_t kSomeRows = 48;

// Columns of K in a box: 128 bytes, what the swizzle spans.
constexpr uint32_t kBoxColumns = 64;

// All slots' weights as one tensor [num_slots · n, k].
CUtensorMap weights_map(const GroupedGemmDesc& desc, const GroupedGemmShape& shape,
                        const GroupedGemmOperands& operands, const GroupedGemmTile& tile) {
  return weight_tiles(operands.w, desc.num_slots * shape.n, shape.k, operands.w_stride,
                      tile.columns);
}

sm90::GroupedGemmKernel* kernel_of(const GroupedGemmTile& tile) {
  if (tile == kTile64x64) return sm90::grouped_gemm_64x64;
  if (tile == kTile64x128) return sm90::grouped_gemm_64x128;
  return sm90::grouped_gemm_128x256;
}

// Rows of a step that are multiplied alike, so that a row's bits don't depend on how many there
// are; kMostStreamed is where the time is no longer that of reading weights.
constexpr int64_t kFewestTokens = 16;
constexpr int64_t kFewTokens = 64;
constexpr int64_t kMostStreamed = 128;
// Tokens up to which no slot has more rows than a list of 8 takes.
constexpr int64_t kShortLists = 8;

// Whether weights are streamed: always for the fewest tokens, otherwise where the most of those
// that are multiplied alike still have few rows a slot, whose weights lists then read once.
bool streams(const GroupedGemmDesc& desc, const GroupedGemmShape& shape) {
  if (desc.tokens <= 0 || desc.tokens > kMostStreamed) return false;
  if (!can_stream(desc.num_slots, shape.n, shape.k)) return false;
  if (desc.tokens <= kFewestTokens) return true;
  const int64_t most = desc.tokens <= kFewTokens ? kFewTokens : kMostStreamed;
  return desc.tuned_rows * most <= kFewRows * desc.num_slots * desc.tokens;
}

StreamConfig stream_config(const GroupedGemmDesc& desc, const GroupedGemmShape& shape) {
  return choose_stream(shape.k, desc.tokens <= kShortLists ? 8 : 16, false);
}

void stream(const GroupedGemmDesc& desc, const GroupedGemmShape& shape, int64_t rows,
            const GroupedGemmOperands& operands, const KernelStream& on, int32_t sm_count) {
  stream_grouped(stream_config(desc, shape),
                 {.data = operands.w,
                  .stride = operands.w_stride,
                  .num_slots = desc.num_slots,
                  .n = shape.n,
                  .k = shape.k},
                 {.x = {operands.x, operands.x_stride},
                  .source = operands.source,
                  .offsets = operands.offsets,
                  .y = operands.y,
                  .y_stride = operands.y_stride,
                  .swiglu = desc.epilogue == Epilogue::swiglu,
                  .f32_y = shape.out == Format::f32},
                 rows, on, sm_count);
}

}  // namespace

GroupedGemmTile choose_tile(const GroupedGemmDesc& desc) {
  const int64_t slots = std::max(1, desc.num_slots);
  if (desc.tuned_rows <= kFewRows * slots) return kTile64x64;
  if (desc.tuned_rows <= kSomeRows * slots) return kTile64x128;
  return kTile128x256;
}

Status can_grouped_gemm(const GroupedGemmDesc& desc, const GroupedGemmShape& shape) {
  const auto refused = [&](const char* sentence) {
    return Error(ErrorKind::unsupported, sentence)
        .with("in", name_of(shape.in))
        .with("out", name_of(shape.out))
        .with("slots", desc.num_slots)
        .with("N", shape.n)
        .with("K", shape.k);
  };
  if (shape.in != Format::bf16 || (shape.out != Format::bf16 && shape.out != Format::f32)) {
    return refused("the GPU's grouped GEMM multiplies bf16 to bf16 or f32");
  }
  if (desc.num_slots > sm90::kMaxSlots) return refused("more slots than the grouped GEMM lists");
  if (shape.k < 8 || shape.k % 8 != 0) return refused("K of a grouped GEMM is no multiple of 8");
  if (desc.num_slots * shape.n > std::numeric_limits<int32_t>::max()) {
    return refused("more rows of weights than a tensor map addresses");
  }
  if (desc.epilogue == Epilogue::swiglu && shape.n % 2 != 0) return refused("SwiGLU of an odd N");
  return {};
}

void grouped_gemm(const GroupedGemmDesc& desc, const GroupedGemmShape& shape, int64_t rows,
                  const GroupedGemmOperands& operands, const KernelStream& on, int32_t sm_count) {
  if (rows == 0 || desc.num_slots == 0 || shape.n == 0) return;
  const bool x_aligned = is_streamable(operands.x, operands.x_stride, bytes_of(shape.in));
  const bool y_aligned = is_streamable(operands.y, operands.y_stride, bytes_of(shape.out));
  const bool as_streamed = streams(desc, shape);
  if (as_streamed && x_aligned && y_aligned) {
    return stream(desc, shape, rows, operands, on, sm_count);
  }
  const sm90::GroupedGemmParams params = {.x = operands.x,
                                          .x_stride = operands.x_stride,
                                          .source = operands.source,
                                          .offsets = operands.offsets,
                                          .y = operands.y,
                                          .y_stride = operands.y_stride,
                                          .n = static_cast<int32_t>(shape.n),
                                          .k = static_cast<int32_t>(shape.k),
                                          .num_slots = desc.num_slots,
                                          .swiglu = desc.epilogue == Epilogue::swiglu,
                                          .f32_y = shape.out == Format::f32,
                                          .x_aligned = x_aligned,
                                          .y_aligned = y_aligned};
  const sm90::GroupedGemmLaunch launch = {.rows = rows,
                                          .sms = sm_count > 0 ? sm_count : num_sms(),
                                          // Launched plainly, it keeps releases_late()'s promise.
                                          .on = as_streamed ? KernelStream(on.stream) : on};
  const GroupedGemmTile tile = choose_tile(desc);
  kernel_of(tile)(weights_map(desc, shape, operands, tile), params, launch);
}

bool releases_late(const GroupedGemmDesc& desc, const GroupedGemmShape& shape) {
  return streams(desc, shape);
}

std::string explain_grouped_gemm(const GroupedGemmDesc& desc, const GroupedGemmShape& shape) {
  if (streams(desc, shape)) return explain(stream_config(desc, shape), shape.k);
  const GroupedGemmTile tile = choose_tile(desc);
  return fmt::format("sm90 grouped GEMM, tile {}x{}x{}, {} stages, {} blocks an SM", tile.rows,
                     tile.columns, kBoxColumns, tile.stages, tile.blocks_per_sm);
}

}  // namespace braid::kernels::cuda
