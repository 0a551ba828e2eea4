// Builder: how layers write a Program. Each op builder (gemm.h, moe.h, …) checks shapes and
// placements; the first mistake is kept, and finish() returns it.
#pragma once

#include <initializer_list>
#include <string>
#include <unordered_map>

#include "flow/program.h"
#include "flow/residents.h"

namespace braid::ops {

using flow::Placement;
using flow::Role;
using flow::Shard;
using flow::Value;

// Ranks along the axes of the two meshes: attention {dp, tp}, moe {moe_ep, moe_tp}.
struct MeshSizes {
  // Communicator ids of one mesh that sum over its first axis, its second, and both; −1: none.
  using Sums = std::array<int32_t, 3>;
  static constexpr Sums kNoSums = {-1, -1, -1};

  std::array<int32_t, 2> attention = {1, 1};
  std::array<int32_t, 2> moe = {1, 1};
  Sums attention_sums = kNoSums;
  Sums moe_sums = kNoSums;

  const std::array<int32_t, 2>& of(flow::Mesh mesh) const {
    return mesh == flow::Mesh::attention ? attention : moe;
  }

  // The ranks over which a Value of this placement is summed up; communicator −1 and 1 rank where
  // it is no Partial, communicator −1 where there is none for these axes.
  struct Sum {
    int32_t communicator = -1;
    int32_t ranks = 1;
    bool operator==(const Sum&) const = default;
  };
  Sum sum_over(const Placement& placement) const;
};

class Builder {
 public:
  // `residents` must outlive the Program.
  explicit Builder(const flow::Residents& residents, MeshSizes meshes = {});
  // Continues a Program of the same residents and meshes, so that passes can write ops.
  Builder(flow::Program program, const flow::Residents& residents, MeshSizes meshes);

  // The whole of a resident buffer.
  Value resident(int32_t index, Placement placement = {});
  // A new step buffer [rows, cols]; `label` has static storage. `count`: how many rows are real.
  Value step(std::string_view label, Format format, int64_t rows, int64_t cols,
             Placement placement = {}, Value count = {});

  // Views. Rows and columns of a Value; a matrix [rows, cols] of 4- or 8-byte elements laid into
  // a column of words from `first_word`; the same memory on another mesh or placement.
  Value rows(Value value, int64_t first, int64_t count);
  Value columns(Value value, int64_t first, int64_t count);
  Value words(Value block, int64_t first_word, Format format, int64_t rows, int64_t cols);
  Value placed(Value value, Placement placement);
  // All rows of a Value, for an op that doesn't look at how many are real.
  Value uncounted(Value value);

  // Appends an op on its kind's home lane, in the current scope. Builders of ops call this:
  // emit(desc, {{AddOperand::a, a}, …}). Operands that are not named are absent.
  template <typename Desc>
  void emit(const Desc& desc, std::initializer_list<flow::NamedValue> operands) {
    emit(flow::AnyDesc(desc), std::span(operands.begin(), operands.size()));
  }
  void emit(const flow::AnyDesc& desc, std::span<const flow::NamedValue> operands);

  // Appends an op of the Program that is continued, unchanged.
  void append(const flow::Op& op) { program_.ops.push_back(op); }

  const flow::ValueInfo& info(Value value) const { return program_.info(value); }
  int64_t num_rows(Value value) const { return info(value).rows; }
  int64_t num_cols(Value value) const { return info(value).cols; }
  Format format(Value value) const { return info(value).format; }
  Placement placement(Value value) const { return info(value).placement; }
  const MeshSizes& meshes() const { return meshes_; }
  std::string describe(Value value) const { return program_.describe(value); }

  // Keeps the first error. Building can go on; finish() returns the error.
  void fail(Error error);
  // Fails with an `internal` error about these operands unless `condition` holds.
  void require(bool condition, std::string_view rule, std::initializer_list<Value> about);

  void set_layer(int32_t layer) { scope_.layer = layer; }
  void set_scope(flow::Scope scope) { scope_ = scope; }
  flow::Scope scope() const { return scope_; }
  void set_role(Role role) { scope_.role = role; }

  Result<flow::Program> finish() &&;

 private:
  Value add_value(flow::ValueInfo info);
  Placement normalized(Placement placement) const;

  const flow::Residents& residents_;
  MeshSizes meshes_;
  flow::Program program_;
  flow::Scope scope_;
  std::unordered_map<int32_t, int32_t> resident_buffers_;  // resident → buffer
  Status status_;
};

// Runs body() with its ops in scope `role` of the current layer; returns what body returns.
template <typename Body>
auto scope(Builder& b, Role role, Body&& body) {
  struct Restore {
    Builder& builder;
    Role role;
    ~Restore() { builder.set_role(role); }
  } restore{b, b.scope().role};
  b.set_role(role);
  return body();
}

}  // namespace braid::ops
