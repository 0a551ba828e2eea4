#include "kernels/gemm/cuda/stream_grouped.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/status.h"
#include "kernels/cuda/matrix.h"
#include "kernels/cuda/num_sms.h"
#include "kernels/cuda/tensor_map.h"

namespace braid::kernels::cuda {
namespace {

using sm90::StreamGroupedForm;

constexpr int64_t kBlockColumns = 64;
constexpr int64_t kBlockBytes = 8 * kBlockColumns * 2;  // of 8 rows
constexpr int64_t kMaxPlaces = 16;
constexpr int64_t kMaxKeptBlocks = 64;
constexpr int64_t kRingBytes = 192 * 1024;
constexpr int64_t kMaxStages = 32;
constexpr int64_t kSharedBytes = 227 * 1024;  // that a block can have

sm90::StreamGroupedKernel kernel_of(const StreamGroupedForm& form) {
  const auto kernel = form.by_row      ? sm90::stream_by_row(form)
                      : form.rows == 8 ? sm90::stream_grouped_8(form)
                                       : sm90::stream_grouped_16(form);
  BRAID_CHECK(kernel != nullptr, "no kernel for lists of {} rows, {} boxes, {} blocks a warp",
              form.rows, form.boxes, form.warp_blocks);
  return kernel;
}

// Lists that a block makes: by row all, else those that its stretch of the tiles can have.
int64_t most_lists(const StreamGroupedForm& form, const sm90::StreamGroupedParams& params,
                   int64_t rows, int64_t blocks) {
  if (form.by_row) return params.choices.num_rows;
  const int64_t all = std::min(rows, rows / form.rows + params.num_slots);
  return ceil_div(all, blocks) + 2;
}

}  // namespace

bool can_stream(int32_t num_slots, int64_t n, int64_t k) {
  return num_slots <= sm90::StreamGroupedLayout::kMostSlots && n % 16 == 0 && k > 0 &&
         k % kBlockColumns == 0 && num_slots * n <= std::numeric_limits<int32_t>::max();
}

bool can_stream_by_row(int32_t num_slots, int64_t n, int64_t k, int64_t num_places) {
  return can_stream(num_slots, n, k) && k / kBlockColumns <= kMaxKeptBlocks &&
         num_places <= kMaxPlaces;
}

bool is_streamable(const void* rows, int64_t stride, int64_t element_bytes) {
  return reinterpret_cast<uintptr_t>(rows) % 16 == 0 && stride * element_bytes % 16 == 0;
}

StreamConfig choose_stream(int64_t k, int32_t rows_of_list, bool by_row) {
  const int64_t blocks = k / kBlockColumns;
  // Boxes of 8 to 24 KB where K allows it, and as even as they can be.
  const auto config = [&](int64_t boxes, int32_t kept, int32_t warp_blocks, int32_t tiles = 1) {
    return StreamConfig{.form = {rows_of_list, tiles, kept, warp_blocks, by_row},
                        .box_blocks = static_cast<int32_t>(ceil_div(blocks, boxes))};
  };
  if (blocks <= 12) return config(1, 1, 2, 2);
  if (blocks <= 16) return config(1, 1, 2);
  if (blocks <= 24) return config(1, 1, 3);
  if (blocks <= 32) return config(2, 2, 2);
  if (blocks <= 48) return config(2, 2, 3);
  if (blocks <= kMaxKeptBlocks) return config(4, 4, 2);
  return config(ceil_div(blocks, 16), 0, 2);
}

void stream_grouped(const StreamConfig& config, const StreamedWeights& weights,
                    sm90::StreamGroupedParams params, int64_t rows, const KernelStream& on,
                    int32_t sm_count) {
  BRAID_CHECK(!config.form.by_row || params.choices.num_rows * params.choices.num_places <=
                                         sm90::StreamGroupedLayout::kMostInputs,
              "{} rows of {} places", params.choices.num_rows, params.choices.num_places);
  const int64_t blocks = sm_count > 0 ? sm_count : num_sms();
  params.num_slots = weights.num_slots;
  params.n = static_cast<int32_t>(weights.n);
  params.k = static_cast<int32_t>(weights.k);
  params.early = on.follows && on.constant_weights;
  params.box_blocks = config.box_blocks;
  params.max_lists = static_cast<int32_t>(most_lists(config.form, params, rows, blocks));
  const int64_t stage_bytes = config.form.tiles * config.box_blocks * kBlockBytes;
  const sm90::StreamGroupedLayout fixed(params, config.form);
  const int64_t room = kSharedBytes - 1024 - int64_t{fixed.end};
  params.num_stages = static_cast<int32_t>(
      std::min({kMaxStages, kRingBytes / stage_bytes, room / (stage_bytes + 16)}));
  BRAID_CHECK(params.num_stages > 0, "{} lists of {} slots leave no room for a stage",
              params.max_lists, params.num_slots);
  const CUtensorMap map = weight_boxes(weights.data, weights.num_slots * weights.n, weights.k,
                                       weights.stride, config.box_blocks, 8 * config.form.tiles);
  kernel_of(config.form)(map, params, {.blocks = static_cast<int32_t>(blocks), .on = on});
}

std::string explain(const StreamConfig& config, int64_t k) {
  return fmt::format("sm90 streaming grouped GEMM, tile {}x{}, {} boxes of {} columns",
                     config.form.rows, 8 * config.form.tiles,
                     ceil_div(k / kBlockColumns, config.box_blocks),
                     config.box_blocks * kBlockColumns);
}

}  // namespace braid::kernels::cuda
