// cuBLASLt's algorithms that were measured to be the fastest of all candidates, with cold weights:
// for the products of some models, on one kind of GPU. BM_PinBlas of blas_pins_bench.cc prints this
// table's lines. A product that isn't listed gets the first answer of cuBLASLt's heuristic.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/format.h"

namespace braid::kernels::cuda {

struct BlasKey;

// The product (as BlasKey has it, bf16 with or without bias, on 16 bytes) and cuBLASLt's numbers of
// its algorithm.
struct BlasPin {
  int64_t rows = 0;
  int64_t n = 0;
  int64_t k = 0;
  int32_t parts = 1;
  Format out = Format::bf16;
  int32_t algorithm = 0;
  uint32_t tile = 0;
  uint32_t stages = 0;
  uint16_t cluster = 0;
  uint32_t swizzle = 0;
  uint32_t custom = 0;
  double microseconds = 0;  // as measured
};

// Of the GPUs whose name has `device` in it; those of other GPUs have none.
struct DevicePins {
  std::string_view device;
  std::span<const BlasPin> pins;
};
std::span<const DevicePins> blas_pins();

// Null where there is none.
const BlasPin* find_blas_pin(std::string_view device_name, const BlasKey& key);

// A line of the table.
std::string to_string(const BlasPin& pin);

}  // namespace braid::kernels::cuda
