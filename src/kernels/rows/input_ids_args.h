// Operands of the kernel that finds a step's token ids, on every device.
#pragma once

#include <cstdint>

namespace braid::kernels {

struct InputIdsArgs {
  const int32_t* given = nullptr;     // [rows]
  const int32_t* source = nullptr;    // [rows]
  const int32_t* sampled = nullptr;   // [·]
  const int32_t* kv_slots = nullptr;  // [rows], −1: padding
  int32_t* out = nullptr;             // [rows]
  int32_t* history = nullptr;         // [KV slots]
};

}  // namespace braid::kernels
