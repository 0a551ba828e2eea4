// Which algorithm cuBLASLt runs for a product, chosen once and kept.
//
// It is what was measured to be the fastest (blas_pins.h), or else the first answer of cuBLASLt's
// heuristic, for the rows that an op was tuned for, and it is used for any part of the op's rows: a
// row then comes out bitwise the same, whether the op is split or not. Algorithms that split K over
// blocks or reduce through memory are no candidates: how they split it depends on the rows. What
// splits K here is the key itself, which asks for the products of so many parts of K.
#pragma once

#include <cublasLt.h>

#include <compare>
#include <cstdint>
#include <string>
#include <vector>

#include "base/format.h"
#include "base/status.h"
#include "kernels/gemm/cuda/blas_pins.h"

namespace braid::kernels::cuda {

// Most workspace that an algorithm may use; what it is launched with must have as much.
inline constexpr size_t kBlasWorkspaceBytes = size_t{32} << 20;

// Addresses and row strides of this alignment are as good as any to cuBLASLt.
inline constexpr int32_t kBlasAlignment = 16;

// The product d = x · wᵀ (+ bias): x [rows, k], w [n, k], bias [n], d [rows, n]. With `parts` > 1
// x and w have parts · k columns, and d [parts, rows, n] is the products of each k of them.
struct BlasKey {
  int64_t rows = 0;  // that the algorithm is tuned for
  int64_t n = 0;
  int64_t k = 0;
  int32_t parts = 1;
  Format in = Format::bf16;   // x, w and bias
  Format out = Format::bf16;  // d
  bool bias = false;
  int32_t alignment = kBlasAlignment;  // bytes that divide all addresses and row strides

  auto operator<=>(const BlasKey&) const = default;
};

// Elements from row to row.
struct BlasStrides {
  int64_t x = 0;
  int64_t w = 0;
  int64_t d = 0;
};

// cuBLASLt's description of a product. It counts in columns: its A is w, its B is x.
struct BlasProduct {
  cublasLtMatmulDescOpaque_t operation;
  cublasLtMatrixLayoutOpaque_t w;
  cublasLtMatrixLayoutOpaque_t x;
  cublasLtMatrixLayoutOpaque_t d;
};
BlasProduct describe_product(const BlasKey& key, int64_t rows, const BlasStrides& strides);

struct BlasConfig {
  cublasLtMatmulAlgo_t algorithm;
  size_t workspace_bytes = 0;
  float waves = 0;  // blocks over the GPU's SMs, for the tuned rows
  bool pinned = false;
};

// The configuration for `key` on the current device; `unsupported` when cuBLASLt has none, `fault`
// when it can't be used. The first call for a key asks cuBLASLt (well below a millisecond, and not
// while a graph is captured), later ones look it up. Thread-safe; never invalidated.
Result<const BlasConfig*> blas_config(const BlasKey& key);

// All that the heuristic names for the key's rows, for fewer and for more, and that can run it; its
// first answer for the key comes first. For what measures them.
Result<std::vector<BlasConfig>> blas_candidates(const BlasKey& key);

// The pin (blas_pins.h) of a configuration that takes so many µs.
BlasPin pin_of(const BlasKey& key, const BlasConfig& config, double microseconds);

// Ok if the configuration for `key` also runs `rows` rows.
Status check_blas_rows(const BlasKey& key, int64_t rows);

// "algorithm 66, tile 128x256, stages 64x4, cluster 2x1x1, split-K 1, swizzle 1, 2.0 waves"; of a
// pinned one "measured" instead of the waves.
std::string to_string(const BlasConfig& config);

// Aborts with the library's name for the error: for calls that fail only when braid is wrong.
void check_blas(cublasStatus_t code, const char* call);

}  // namespace braid::kernels::cuda
