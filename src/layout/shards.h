// Which part of every tensor a rank holds.
#pragma once

#include "layout/layout.h"

namespace braid::layout {

// A rank's part of something counted (heads, experts, columns): [first, first + count) of the
// whole, stored as `padded` of them, zeros behind the real ones.
struct Share {
  int64_t first = 0;
  int64_t count = 0;
  int64_t padded = 0;
  bool operator==(const Share&) const = default;
};

// Widths of shards are multiples of this, so that every kernel finds whole vectors.
inline constexpr int64_t kWidthMultiple = 16;

// The index-th of `ranks` equal parts; `ranks` divides `total`.
Share share_of(int64_t total, int32_t index, int32_t ranks);
// The index-th of `ranks` parts of a width, rounded up: ceil(width / ranks) columns each, as far as
// there are any.
Share width_share(int64_t width, int32_t index, int32_t ranks);

// One rank's view of a layout.
class Shards {
 public:
  Shards(const ModelSizes& model, const Layout& layout, int32_t rank);

  int32_t rank() const { return rank_; }
  // Query heads: rows of q (q_b) and kv_b, columns of o.
  Share heads() const;
  // KV heads: rows of k and v. Ranks that share one hold copies of it.
  Share kv_heads() const;
  // Rows of gate and up, columns of down, of a dense MLP or of the shared experts.
  Share mlp_width(int64_t width) const;
  // Rows of the embedding and of the head: a part of the vocabulary where there is a tp.
  Share vocabulary(int64_t size) const;
  // Routed experts, and the same of each one's width.
  Share experts() const;
  Share expert_width(int64_t width) const;
  // Whether all ranks have parts of every expert and of every dense layer, so that the shared
  // experts can be cut like the routed ones.
  bool holds_all_experts() const {
    return layout_.moe.sizes[0] == 1 && layout_.attention.sizes[0] == 1;
  }

 private:
  ModelSizes model_;
  Layout layout_;
  int32_t rank_;
};

}  // namespace braid::layout
