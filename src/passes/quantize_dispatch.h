// quantize_dispatch: rows go to the experts of other ranks in fewer bits.
#pragma once

#include <optional>

#include "ops/quantize.h"
#include "passes/decisions.h"

namespace braid::passes {

enum class DispatchDtype { automatic, unquantized, fp8, nvfp4 };

// "auto", "unquantized", "fp8", "nvfp4"; else a usage error.
Result<DispatchDtype> parse_dispatch_dtype(std::string_view option, std::string_view text);

// What moving and quantizing rows takes on one rank.
struct DispatchPrices {
  double link_bytes_per_us = 0;  // into this rank from all others together
  double quantize_ns = 0;        // an element, to fp8
  double dequantize_ns = 0;      // an element, from fp8
  double op_us = 0;              // of an op, however few rows it has
};

// Of one core at 3 GHz with AVX2, measured, beside a link of this rate.
constexpr DispatchPrices cpu_prices(double link_bytes_per_second) {
  return {link_bytes_per_second / 1e6, /*quantize_ns=*/4.6, /*dequantize_ns=*/1.6, /*op_us=*/5};
}

struct QuantizeDispatchOptions {
  DispatchDtype dtype = DispatchDtype::automatic;
  std::optional<DispatchPrices> prices;  // none known: auto leaves rows as they are
};

// What of the model the pass needs.
struct DispatchSite {
  const flow::Residents& residents;
  ops::MeshSizes meshes;
  int32_t errors = -1;  // resident f64 [layers, 2], where the errors of the rows are summed up
};

// Rewrites every gather or all-to-all of rows along dp: each rank quantizes its own rows behind
// what makes the last of the gather's operands; payload, scales, ids and weights go in one call;
// all ranks dequantize what they got. Router, shared experts and the residual stream keep the
// unquantized rows, and sums come back in the model's dtype. auto takes fp8 where prices promise a
// gain, never nvfp4, whose error is four times as large. Decided by the largest rank's rows, which
// all ranks know.
Result<flow::Program> quantize_dispatch(flow::Program program, const DispatchSite& site,
                                        const QuantizeDispatchOptions& options, Decisions& why);

}  // namespace braid::passes
