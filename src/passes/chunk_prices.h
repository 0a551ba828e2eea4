// Into how many chunks a step's reductions are cut: the number with the least predicted time. It
// depends on shapes and the cost model alone, so that all ranks choose the same number.
#pragma once

#include "cost/pipeline.h"
#include "flow/rewrite.h"
#include "passes/chunk_segments.h"

namespace braid::passes {

// Chunks end at multiples of this, so that cut GEMMs have no more partial tiles than whole ones.
inline constexpr int64_t kChunkTile = 128;
inline constexpr int32_t kMostChunks = 64;

// At most `chunks` ranges that cover `rows`: all equally long but the last; one range for fewer
// rows than two tiles.
std::vector<flow::RowRange> chunk_ranges(int64_t rows, int32_t chunks);

struct ChunkPrice {
  int32_t chunks = 1;
  double us = 0;
};

struct ChunkChoice {
  int32_t chunks = 1;
  std::vector<ChunkPrice> prices;  // one piece first, then every number considered, ascending
};

// The numbers of chunks that automatic considers, where the rows allow them.
std::span<const int32_t> all_chunk_numbers();

// `whole`: the stages in one piece; `cut`: the stages in chunks. Considers one piece and `numbers`.
// When prices are equal, fewer chunks win.
ChunkChoice choose_chunks(std::span<const cost::Stage> whole, std::span<const cost::Stage> cut,
                          int64_t rows, const cost::CostModel& model,
                          std::span<const int32_t> numbers = all_chunk_numbers());

// The stages of these segments, all of `rows` rows. With `ranks` > 1 the reductions that parts
// follow are cut in two halves. With 1 they are not, and lane compute does the work of the parts.
std::vector<cost::Stage> stages_of(const flow::Program& program,
                                   std::span<const RowSegment> segments, int64_t rows,
                                   int32_t ranks);

}  // namespace braid::passes
