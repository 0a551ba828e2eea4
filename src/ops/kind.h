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
inline uint64_t signature_of(std::initializer_list<int64_t> numbers) {
  uint64_t hash = 0x9e3779b97f4a7c15u;
  for (const int64_t number : numbers) {
    hash = (hash ^ static_cast<uint64_t>(number)) * 0xbf58476d1ce4e5b9u;
    hash ^= hash >> 29;
  }
  return hash;
}

}  // namespace braid::ops
