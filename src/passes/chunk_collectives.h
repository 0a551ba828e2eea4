// chunk_collectives: a reduction runs while the next rows of what it reduces are computed.
#pragma once

#include "flow/rewrite.h"
#include "passes/decisions.h"

namespace braid::passes {

struct ChunkOptions {
  int32_t chunks = 1;     // 1: off
  int32_t spare_sms = 0;  // that the GEMMs of chunks leave to the reductions beside them
};

// "off", or a number of chunks from 2 to 64; else a usage error.
Result<ChunkOptions> parse_chunks(std::string_view option, std::string_view text);

// Chunks end at multiples of this, so that cut GEMMs have no more partial tiles than whole ones.
inline constexpr int64_t kChunkTile = 128;

// At most `chunks` ranges that cover `rows`: all equally long but the last; one range for fewer
// rows than two tiles.
std::vector<flow::RowRange> chunk_ranges(int64_t rows, int32_t chunks);

// Splits every all-reduce and the row-wise ops that make its input (a GEMM, a combine, the sum of
// both) into chunks of rows, issued in turn: compute 0, reduce 0, compute 1, reduce 1, … The reduce
// of a chunk, on lane comm, then runs beside the computation of the next. Bitwise the same result
// where the sum doesn't depend on how rows are grouped (two ranks, or a fixed order). What is read
// by anybody else, what isn't row-wise and row-invariant, and what has a row count on the device
// stays whole.
Result<flow::Program> chunk_collectives(flow::Program program, const ChunkOptions& options,
                                        Decisions& why);

}  // namespace braid::passes
