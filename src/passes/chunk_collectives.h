// chunk_collectives: a reduction runs beside computation on other rows. These are the next rows of
// the op that makes its input, or the first rows of the ops that follow it.
#pragma once

#include "passes/pass.h"

namespace braid::passes {

struct ChunkOptions {
  static constexpr int32_t kAutomatic = 0;

  int32_t chunks = 1;      // 1: off
  int64_t min_tokens = 0;  // automatic: off for fewer rows
  int32_t spare_sms = 0;   // that the GEMMs of chunks leave to the reductions beside them
  bool continued = false;  // cut the ops that follow a reduction as well
};

// "auto", "off", or a number of chunks from 2 to 64; else a usage error.
Result<ChunkOptions> parse_chunks(std::string_view option, std::string_view text);

// The pass has two parts: it finds segments of ops that can be cut by rows (chunk_segments.h), and
// cuts them (chunk_cut.h). In between it asks the cost model how many chunks are fastest
// (chunk_prices.h). Continued and in two chunks, a dense layer becomes this, where a number is a
// chunk of rows and n stands for the residual's addition and the norm:
//
//   serial    o · sum · n · up · down · sum · n · qkv
//
//   compute   o 0 · o 1 ·     up 0 · down 0 · up 1 · down 1  ·    qkv 0 · qkv 1
//   comm            sum 0 n 0 · sum 1 n 1   · sum 0 n 0      · sum 1 n 1
//
// Every all-reduce is split with the row-wise ops that make its input: a GEMM, a combine, the sum
// of both. The sum of a chunk, on lane comm, then runs beside the computation of the next chunk.
//
// Continued, the row-wise ops behind a reduction are split by the same rows, up to the next
// reduction or the first op that isn't row-wise (the KV cache, the permutation of a MoE layer). An
// all-reduce over the ranks of tp is then cut in two halves, a reduce-scatter and an all-gather:
// the residual's addition and the norm between them are done on lane comm, each row by one rank.
// The residual stream stays distributed, each rank having its own part of each chunk. It is
// gathered only where other ops read it.
//
// The results are bitwise the same where a sum doesn't depend on how rows are grouped (two ranks,
// or a fixed order). Ops whose row count is known on the device alone stay whole.
Result<flow::Program> chunk_collectives(flow::Program program, const ChunkOptions& options,
                                        const PassContext& context);

extern const Pass kChunkCollectives;

}  // namespace braid::passes
