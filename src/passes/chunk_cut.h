// The second part of chunk_collectives: cuts the segments that chunk_segments.h finds.
#pragma once

#include "flow/rewrite.h"
#include "passes/chunk_segments.h"
#include "passes/pass.h"

namespace braid::passes {

// Cuts all segments by the same ranges of rows. A segment without parts is issued chunk by chunk:
//
//   before    gemm [0, 512)                  · all_reduce [0, 512)
//   after     gemm [0, 256) · gemm [256, 512)
//   comm                    · all_reduce [0, 256) · all_reduce [256, 512)
//
// The all-reduce of a segment with parts becomes a reduce-scatter and an all-gather. Between them
// each rank computes the parts (here add and norm) for its own share of the chunk alone:
//
//   before    gemm · all_reduce · add · norm                                    · gemm
//   compute   gemm 0 · gemm 1                                            · gemm 0 · gemm 1
//   comm        reduce_scatter 0 · add 0 · norm 0 · gather_parts 0 · reduce_scatter 1 · …
//
// `spared`: SMs that the GEMMs leave to the reductions beside them. `rewrites`: ops that were cut.
Result<flow::Program> cut_segments(flow::Program program, std::span<const RowSegment> segments,
                                   const std::vector<flow::RowRange>& ranges,
                                   const TensorParallel& tp, int32_t spared, int& rewrites);

}  // namespace braid::passes
