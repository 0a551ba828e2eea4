// How many chunks a step's reductions are cut into: the number with the least predicted time. A
// function of shapes and the device profile alone, so that all ranks choose alike.
#pragma once

#include <string>

#include "cost/pipeline.h"
#include "flow/rewrite.h"
#include "passes/row_segments.h"

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
  std::vector<ChunkPrice> prices;  // of every number considered, ascending
  std::string to_string() const;   // "1: 900 us, 2: 700 us, 4: 650 us"
};

// `whole`: the stages in one piece, `cut`: as they are in chunks. Of equal prices the fewer chunks.
ChunkChoice choose_chunks(std::span<const cost::Stage> whole, std::span<const cost::Stage> cut,
                          int64_t rows, const cost::DeviceProfile& profile);

// The stages of these segments, all of `rows` rows. With `ranks` > 1 reductions that parts follow
// are cut in two; with 1 they are not, and what the parts would do is done on lane compute.
std::vector<cost::Stage> stages_of(const flow::Program& program,
                                   std::span<const RowSegment> segments, int64_t rows,
                                   int32_t ranks);

}  // namespace braid::passes
