// Helpers for declaring kinds.
#pragma once

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

}  // namespace braid::ops
