#include "flow/types.h"

#include <fmt/format.h>

namespace braid::flow {

std::string_view name_of(Lane lane) {
  constexpr std::array<std::string_view, kNumLanes> kNames = {"compute", "aux", "comm", "copy"};
  return kNames[index_of(lane)];
}

std::string_view name_of(Lifetime lifetime) {
  switch (lifetime) {
    case Lifetime::weight: return "weight";
    case Lifetime::carried: return "carried";
    case Lifetime::step: return "step";
  }
  return "?";
}

std::string_view name_of(Access access) {
  switch (access) {
    case Access::read: return "read";
    case Access::write: return "write";
    case Access::read_write: return "read-write";
  }
  return "?";
}

std::string_view name_of(Shard shard) {
  switch (shard) {
    case Shard::replicated: return "replicated";
    case Shard::partial: return "partial";
    case Shard::row_sharded: return "row_sharded";
    case Shard::col_sharded: return "col_sharded";
  }
  return "?";
}

std::string_view name_of(Role role) {
  switch (role) {
    case Role::step: return "step";
    case Role::embedding: return "embedding";
    case Role::attention: return "attention";
    case Role::mlp: return "mlp";
    case Role::router: return "router";
    case Role::shared_expert: return "shared_expert";
    case Role::experts: return "experts";
    case Role::residual: return "residual";
    case Role::head: return "head";
    case Role::sampling: return "sampling";
  }
  return "?";
}

std::string Placement::to_string() const {
  return fmt::format("{}({}, {})", mesh == Mesh::attention ? "attention" : "moe", name_of(axes[0]),
                     name_of(axes[1]));
}

std::string Scope::to_string() const {
  if (layer < 0) return std::string(name_of(role));
  return fmt::format("layer {} {}", layer, name_of(role));
}

}  // namespace braid::flow
