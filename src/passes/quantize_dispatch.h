// quantize_dispatch: rows go to the experts of other ranks in fewer bits.
#pragma once

#include "ops/quantize.h"
#include "passes/pass.h"

namespace braid::passes {

enum class DispatchDtype { automatic, unquantized, fp8, nvfp4 };

// "auto", "unquantized", "fp8", "nvfp4"; else a usage error.
Result<DispatchDtype> parse_dispatch_dtype(std::string_view option, std::string_view text);

struct QuantizeDispatchOptions {
  DispatchDtype dtype = DispatchDtype::automatic;
};

// Rewrites every gather or all-to-all of rows along dp:
//
//   before    router · gather rows, ids, weights                              · experts
//   after     router · quantize · gather payload, scales, ids, weights · dequantize · experts
//
// Each rank quantizes its own rows right behind the op that makes the last operand of the gather.
// All ranks dequantize what they got, and sum up the errors of the rows in buffers.dispatch_errors.
// Router, shared experts and the residual stream keep the unquantized rows, and sums come back in
// the model's dtype. auto takes fp8 where the cost model predicts a gain. It never takes nvfp4,
// whose error is four times as large. The choice depends on the rows of the largest rank, which all
// ranks know.
Result<flow::Program> quantize_dispatch(flow::Program program,
                                        const QuantizeDispatchOptions& options,
                                        const PassContext& context);

extern const Pass kQuantizeDispatch;

}  // namespace braid::passes
