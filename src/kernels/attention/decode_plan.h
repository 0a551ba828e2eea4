// How the work of a step's attention in decode is shared out, the same for all layers: made once a
// step, by the device for itself.
//
// The positions of a row are cut into leaves of 128. Sums over a leaf are made in one way; sums of
// two neighbours are merged, two of those, and so on: a tree that depends on the row's own length
// alone. A share is a run of 2^n leaves that begins at a multiple of 2^n, so that it is a node of
// that tree: whoever computes it, and however long the shares of this step are, the row's bits are
// the same.
#pragma once

#include <cstdint>

namespace braid::kernels {

inline constexpr int32_t kLeafPositions = 128;

// Blocks among which shares are dealt: two on each SM of an H100 or H200.
inline constexpr int32_t kDecodeBlocks = 264;

// A share: for every KV head, one block makes its sums.
struct DecodeShare {
  int32_t row = 0;
  int32_t first_leaf = 0;
  int32_t length = 0;    // positions of the row, its own included
  int32_t sequence = 0;  // row of the block table
};

struct DecodePlanDesc {
  int32_t num_kv_heads = 0;
};

// Where things lie in the plan, which is a column of 32-bit words.
struct DecodePlanLayout {
  static constexpr int64_t kHeaderWords = 4;  // number of shares, leaves of a share
  static constexpr int64_t kShareWords = 4;   // a DecodeShare
  // Shares beside one a row that there may be, times the KV heads: enough for every block to get
  // several where rows are few.
  static constexpr int64_t kFineShares = 4 * int64_t{kDecodeBlocks};

  constexpr DecodePlanLayout(int64_t rows, int64_t num_kv_heads)
      : capacity(rows + (kFineShares + num_kv_heads - 1) / num_kv_heads),
        arrivals(kHeaderWords + capacity * kShareWords),
        words(arrivals + rows * num_kv_heads) {}

  int64_t capacity;  // shares
  int64_t arrivals;  // [rows, num_kv_heads] parts of a row that the layers so far have made
  int64_t words;
};

constexpr int32_t leaves_of(int32_t length) {
  return (length + kLeafPositions - 1) / kLeafPositions;
}
constexpr int32_t shares_of(int32_t length, int32_t log_leaves) {
  return (leaves_of(length) + (1 << log_leaves) - 1) >> log_leaves;
}

// Shares have 2^0 … 2^14 leaves.
inline constexpr int32_t kShareSizes = 15;

// What a size of shares costs: in sixteenths of the time for a leaf, the longest block's leaves,
// half a leaf for each of its shares, and the merge of the longest row's parts.
constexpr int64_t share_cost(int64_t shares, int64_t longest, int32_t log_leaves,
                             int64_t num_kv_heads) {
  const int64_t rounds = (shares * num_kv_heads + kDecodeBlocks - 1) / kDecodeBlocks;
  return rounds * (16 * (int64_t{1} << log_leaves) + 8) + longest;
}

}  // namespace braid::kernels
