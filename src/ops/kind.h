// Helpers for declaring kinds. A kind's operands have names: an enum in the builder's header, of
// which operand_specs() proves that the OperandSpecs stand in its order.
#pragma once

#include <initializer_list>

#include "flow/kind.h"

namespace braid::ops {

using flow::Access;
using flow::KindInfo;
using flow::Slicing;
using flow::Type;
using flow::Work;

inline double bytes(const Type& type) {
  return static_cast<double>(type.rows * type.cols * bytes_of(type.format));
}

// All operands once: what a memory-bound op moves.
inline double bytes(std::span<const Type> types) {
  double total = 0;
  for (const Type& type : types) total += bytes(type);
  return total;
}

// Work of an op that only moves its operands.
inline Work moves_operands(const void* /*desc*/, std::span<const Type> types) {
  return {.flop = 0, .bytes = bytes(types)};
}

// Work of a gather or of a scattered sum, each half an all-reduce, as a ring of ranks does it.
// `all`: bytes of the rows of all ranks. A rank has one part of them before a gather or after a
// scattered sum, and sends the parts of the other ranks once. `sums`: the elements of a sum; 0 for
// a gather.
inline Work ring_work(double ranks, double all, double sums = 0) {
  const double others = (ranks - 1) / ranks;
  return {.flop = others * sums, .bytes = all * (1 + 1 / ranks), .link_bytes = others * all};
}

// A hash of what all ranks of a collective must agree on. It depends on the order, so that no two
// different lists of numbers are likely to agree.
class Signature {
 public:
  Signature& add(int64_t number) {
    hash_ = (hash_ ^ static_cast<uint64_t>(number)) * 0xbf58476d1ce4e5b9u;
    hash_ ^= hash_ >> 29;
    return *this;
  }
  Signature& add(std::string_view text) {
    for (const char c : text) add(static_cast<int64_t>(c));
    return *this;
  }
  // The first row is part of it: a chunk of a collective must not meet another chunk of that size.
  Signature& add(const Type& type) {
    return add(static_cast<int64_t>(type.format)).add(type.first_row).add(type.rows).add(type.cols);
  }
  uint64_t value() const { return hash_; }

 private:
  uint64_t hash_ = 0x9e3779b97f4a7c15u;
};

// The collective of an op whose Desc has the communicator, its ranks and perhaps a method. All
// ranks must agree on the kind, on these, and on the operands kFirst to kLast − 1; the other
// operands may differ from rank to rank.
template <typename Desc, size_t kFirst, size_t kLast>
std::optional<flow::Collective> collective_of(const void* desc, std::span<const Type> types) {
  const Desc& op = *static_cast<const Desc*>(desc);
  Signature signature;
  signature.add(flow::kind_of<Desc>().name).add(op.communicator).add(op.ranks);
  if constexpr (requires { op.method; }) signature.add(static_cast<int64_t>(op.method));
  for (size_t i = kFirst; i < kLast; ++i) signature.add(types[i]);
  return flow::Collective{.communicator = op.communicator, .signature = signature.value()};
}

// The kind of such ops.
template <typename Desc, size_t kFirst, size_t kLast = kFirst + 1>
constexpr KindInfo collective_kind(std::string_view name,
                                   std::span<const flow::OperandSpec> operands,
                                   Work (*work)(const void*, std::span<const Type>)) {
  return {.name = name,
          .operands = operands,
          .row_invariant = false,
          .home = flow::Lane::comm,
          .work = work,
          .collective = collective_of<Desc, kFirst, kLast>};
}

}  // namespace braid::ops
