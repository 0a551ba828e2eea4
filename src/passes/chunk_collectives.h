// chunk_collectives: a reduction runs while other rows are computed: the next ones of what it
// reduces, or the first ones of what follows.
#pragma once

#include "cost/device_profile.h"
#include "flow/rewrite.h"
#include "passes/chunk_prices.h"
#include "passes/decisions.h"

namespace braid::passes {

// The ranks that hold the same rows, and which of them this one is.
struct Members {
  int32_t count = 1;
  int32_t index = 0;
};

struct ChunkOptions {
  static constexpr int32_t kAutomatic = 0;

  int32_t chunks = 1;      // 1: off
  int64_t min_tokens = 0;  // automatic: off for fewer rows
  int32_t spare_sms = 0;   // that the GEMMs of chunks leave to the reductions beside them
  bool continued = false;  // cut what follows a reduction, too
  Members members;         // who shares the sums and norms behind a reduction
  cost::DeviceProfile profile = cost::cpu_profile();  // that automatic predicts with
};

// "auto", "off", or a number of chunks from 2 to 64; else a usage error.
Result<ChunkOptions> parse_chunks(std::string_view option, std::string_view text);

// Splits every all-reduce and the row-wise ops that make its input (a GEMM, a combine, the sum of
// both) into chunks of rows, issued in turn: compute 0, reduce 0, compute 1, reduce 1, … The reduce
// of a chunk, on lane comm, then runs beside the computation of the next.
//
// Continued, the row-wise ops behind a reduction are split by the same rows, up to the first op
// that isn't row-wise (the KV cache, the permutation of a MoE layer) or the next reduction, so that
// the last chunks' reductions run beside them. An all-reduce among members.count ranks is then cut
// in two, a reduce-scatter and an all-gather: the residual's addition and the norm between them are
// done on lane comm by one rank a row. The residual stream stays so, each rank having its own part
// of each chunk, and is gathered only for who else reads it.
//
// Bitwise the same result where a sum doesn't depend on how rows are grouped (two ranks, or a fixed
// order). What has a row count on the device stays whole.
Result<flow::Program> chunk_collectives(flow::Program program, const ChunkOptions& options,
                                        Decisions& why);

}  // namespace braid::passes
