// Helpers for declaring kinds.
#pragma once

#include <initializer_list>

#include "flow/kind.h"

namespace braid::ops {

inline double bytes(const flow::Type& type) {
  return static_cast<double>(type.rows * type.cols * bytes_of(type.format));
}

// All operands once: what a memory-bound op moves.
inline double bytes(std::span<const flow::Type> types) {
  double total = 0;
  for (const flow::Type& type : types) total += bytes(type);
  return total;
}

// Work of an op that only moves its operands.
inline flow::Work moves_operands(const void* /*desc*/, std::span<const flow::Type> types) {
  return {.flop = 0, .bytes = bytes(types)};
}

// Of what all ranks of a collective must agree on. Order-dependent, so that no two different lists
// of numbers are likely to agree.
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
  // Which rows they are is part of it: chunks of one size must not meet crosswise.
  Signature& add(const flow::Type& type) {
    return add(static_cast<int64_t>(type.format)).add(type.first_row).add(type.rows).add(type.cols);
  }
  uint64_t value() const { return hash_; }

 private:
  uint64_t hash_ = 0x9e3779b97f4a7c15u;
};

// What all ranks agree on in an op whose Desc names the communicator, its ranks and perhaps a
// method: the kind, those, and operands kFirst to kLast − 1. What a rank has for itself is not
// among them.
template <typename Desc, size_t kFirst, size_t kLast>
std::optional<flow::Collective> collective_of(const void* desc, std::span<const flow::Type> types) {
  const Desc& op = *static_cast<const Desc*>(desc);
  Signature signature;
  signature.add(flow::kind_of<Desc>().name).add(op.communicator).add(op.ranks);
  if constexpr (requires { op.method; }) signature.add(static_cast<int64_t>(op.method));
  for (size_t i = kFirst; i < kLast; ++i) signature.add(types[i]);
  return flow::Collective{.communicator = op.communicator, .signature = signature.value()};
}

// The kind of such ops.
template <typename Desc, size_t kFirst, size_t kLast = kFirst + 1>
constexpr flow::KindInfo collective_kind(std::string_view name,
                                         std::span<const flow::OperandSpec> operands,
                                         flow::Work (*work)(const void*,
                                                            std::span<const flow::Type>)) {
  return {.name = name,
          .operands = operands,
          .row_invariant = false,
          .home = flow::Lane::comm,
          .work = work,
          .collective = collective_of<Desc, kFirst, kLast>};
}

}  // namespace braid::ops
