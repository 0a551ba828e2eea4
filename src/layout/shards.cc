#include "layout/shards.h"

#include <algorithm>

namespace braid::layout {

Share share_of(int64_t total, int32_t index, int32_t ranks) {
  BRAID_CHECK(total % ranks == 0, "({} over {} ranks)", total, ranks);
  const int64_t count = total / ranks;
  return {count * index, count, count};
}

Share width_share(int64_t width, int32_t index, int32_t ranks) {
  const int64_t each = (width + ranks - 1) / ranks;
  const int64_t first = std::min(each * index, width);
  return {first, std::min(each, width - first),
          (each + kWidthMultiple - 1) / kWidthMultiple * kWidthMultiple};
}

Shards::Shards(const ModelSizes& model, const Layout& layout, int32_t rank)
    : model_(model), layout_(layout), rank_(rank) {
  BRAID_CHECK(rank >= 0 && rank < layout.world, "(rank {} of {})", rank, layout.world);
}

Share Shards::heads() const {
  const Mesh& mesh = layout_.attention;
  return share_of(model_.num_heads, mesh.coordinates(rank_)[1], mesh.sizes[1]);
}

Share Shards::kv_heads() const {
  const Mesh& mesh = layout_.attention;
  const int32_t index = mesh.coordinates(rank_)[1];
  const int64_t kv = model_.num_kv_heads;
  if (kv >= mesh.sizes[1]) return share_of(kv, index, mesh.sizes[1]);
  return {index * kv / mesh.sizes[1], 1, 1};
}

Share Shards::mlp_width(int64_t width) const {
  const Mesh& mesh = layout_.attention;
  return width_share(width, mesh.coordinates(rank_)[1], mesh.sizes[1]);
}

Share Shards::vocabulary(int64_t size) const {
  const Mesh& mesh = layout_.attention;
  if (mesh.sizes[1] == 1) return {0, size, size};  // nothing is cut, nor padded
  return width_share(size, mesh.coordinates(rank_)[1], mesh.sizes[1]);
}

Share Shards::experts() const {
  const Mesh& mesh = layout_.moe;
  return share_of(model_.num_experts, mesh.coordinates(rank_)[0], mesh.sizes[0]);
}

Share Shards::expert_width(int64_t width) const {
  const Mesh& mesh = layout_.moe;
  return width_share(width, mesh.coordinates(rank_)[1], mesh.sizes[1]);
}

}  // namespace braid::layout
