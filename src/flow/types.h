// The vocabulary of flow/: lanes, lifetimes, accesses, placements, scopes.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace braid::flow {

// An in-order queue of a rank. On the CPU a thread, on CUDA a stream.
enum class Lane : uint8_t { compute, aux, comm, copy };
inline constexpr int kNumLanes = 4;
inline constexpr std::array<Lane, kNumLanes> kLanes = {Lane::compute, Lane::aux, Lane::comm,
                                                       Lane::copy};
constexpr size_t index_of(Lane lane) { return static_cast<size_t>(lane); }
std::string_view name_of(Lane lane);

// weight: written before the first step. carried: lives from step to step, at one address for the
// life of the process. step: lives inside one step, in the workspace that the Schedule plans.
enum class Lifetime : uint8_t { weight, carried, step };
std::string_view name_of(Lifetime lifetime);

enum class Access : uint8_t { read, write, read_write };
constexpr bool reads(Access access) { return access != Access::write; }
constexpr bool writes(Access access) { return access != Access::read; }
std::string_view name_of(Access access);

// How a row-wise op's operand follows when the op is split by output rows.
enum class Slicing : uint8_t {
  rows,   // rows [a, b) of the output need rows [a, b) of this operand
  whole,  // every part needs all of it (weights, tables, caches)
};

// The two meshes over the same ranks: (dp, tp) for attention and dense layers, (moe_ep, moe_tp)
// for the experts.
enum class Mesh : uint8_t { attention, moe };

// What one axis of a mesh holds of a Value.
enum class Shard : uint8_t {
  replicated,   // every rank of the axis holds the same rows
  partial,      // the true value is the sum over the ranks of the axis
  row_sharded,  // each rank holds its own rows
  col_sharded,  // each rank holds its own columns
};
std::string_view name_of(Shard shard);

// Where a Value's parts are: axes[0] is dp or moe_ep, axes[1] is tp or moe_tp.
struct Placement {
  Mesh mesh = Mesh::attention;
  std::array<Shard, 2> axes = {Shard::replicated, Shard::replicated};

  bool operator==(const Placement&) const = default;
  bool is_partial() const { return axes[0] == Shard::partial || axes[1] == Shard::partial; }
  std::string to_string() const;  // "attention(replicated, partial)"
};

// What an Op is for: how passes find what they rewrite and what traces group by.
enum class Role : uint8_t {
  step,  // inputs and tables that every layer uses
  embedding,
  attention,
  mlp,
  router,
  shared_expert,
  experts,
  residual,
  head,
  sampling,
};
std::string_view name_of(Role role);

struct Scope {
  int32_t layer = -1;  // -1: outside the decoder layers
  Role role = Role::step;

  bool operator==(const Scope&) const = default;
  std::string to_string() const;  // "layer 3 shared_expert", or "head"
};

}  // namespace braid::flow
