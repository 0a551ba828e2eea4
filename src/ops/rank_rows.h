// Rows that each group of ranks has for itself: how the experts' mesh gets all of them, and how
// their sums come back.
//
// Both collectives run along dp alone. Ranks along attention's tp hold copies of the same rows, so
// that each of them fetches what the ranks at its own place in the other groups have: rows cut over
// tp beforehand would come to (dp · tp − 1) / tp of a group's rows a rank instead of dp − 1. On the
// way back the sum over dp leaves a Partial along tp, which the shared experts' Partial is added to
// before both are reduced at once; the bytes are those of one reduction over all ranks.
#pragma once

#include "ops/builder.h"

namespace braid::ops {

// How rows that differ along dp get to their experts.
enum class DispatchKind : int32_t {
  gather,      // all rows to all ranks; sums come back by a reduce_scatter_v
  all_to_all,  // each row to the ranks that hold one of its experts (ops/exchange.h)
};

// How many rows the ranks along dp have in this step; `counts` is absent where dp is 1.
struct RankRows {
  Value counts;       // i32 [dp, 1]: of each rank, the rows up to its last real one
  int64_t own = 0;    // rows of this rank's Values, padding included
  int64_t group = 0;  // the most that any rank has of them, alike on all ranks
  DispatchKind kind = DispatchKind::gather;
};

// The first counts[r] rows of every rank r, one rank behind the other, of three Values at once, or
// of four where the rows are quantized. Capacities are ranks · group rows; ids beyond the rows that
// there are become −1, all else there is undefined.
struct AllGatherVDesc {
  int32_t communicator = 0;
  int32_t ranks = 1;
};

// out [own, C] = the sum over the ranks of their in [ranks · group, C] at the place where
// AllGatherVDesc puts this rank's rows, rounded once; zeros beyond counts[rank].
struct ReduceScatterVDesc {
  int32_t communicator = 0;
  int32_t ranks = 1;
};

struct GatheredRows {
  Value rows;     // [dp · group, H], or the payload of quantized rows
  Value ids;      // i32 [dp · group, K]; −1: padding
  Value weights;  // f32 [dp · group, K]
  Value scales;   // of a payload [dp · group, ·]; else absent
};

// `scales` and `all_scales` are absent where the rows are not quantized.
struct AllGatherVOperand {
  enum : size_t {
    counts,
    rows,  // what is gathered, from here to all_rows
    scales,
    ids,
    weights,
    all_rows,  // where it is gathered, in the same order
    all_scales,
    all_ids,
    all_weights,
    num_operands,
  };
  // Maps an operand that is gathered to the operand into which it is gathered.
  static constexpr size_t kToAll = all_rows - rows;
};

struct ReduceScatterVOperand {
  enum : size_t { counts, in, out, num_operands };
};

// Row-sharded over dp, whole along tp → the rows of all ranks, on every rank of the experts' mesh.
GatheredRows all_gather_v(Builder& b, const GatheredRows& own, const RankRows& ranks);

// A Partial over all ranks of the experts' mesh → this rank's rows, a Partial along tp alone.
Value reduce_scatter_v(Builder& b, Value x, const RankRows& ranks, std::string_view label);

// Whether `x` is a Partial over all ranks of the experts' mesh.
bool is_partial_over_experts(const Builder& b, Value x);

}  // namespace braid::ops

template <>
const braid::flow::KindInfo& braid::flow::kind_of<braid::ops::AllGatherVDesc>();
template <>
const braid::flow::KindInfo& braid::flow::kind_of<braid::ops::ReduceScatterVDesc>();
