// From the residual stream to the experts in one kernel, for few rows of bf16: a cluster of up to
// 16 blocks, each with some columns of the router and of the rows. Its logits have an order of sums
// of their own, which depends on H alone; all that follows is exact for them: bit for bit what
// route() and permute() make of these logits. normed and sum have the bits of add_rms_norm().
#pragma once

#include "kernels/cuda/kernel_stream.h"
#include "kernels/cuda/matrix.h"
#include "kernels/moe/route_args.h"
#include "kernels/moe/route_experts_desc.h"

namespace braid::kernels::cuda {

inline constexpr int kMaxRoutedRows = 64;

struct RouteExpertsArgs {
  int64_t hidden = 0;
  Matrix<const bf16> x;       // [rows, H]
  Matrix<const bf16> addend;  // [rows, H], or data null
  const bf16* norm_weight = nullptr;
  Matrix<const bf16> router;  // [E, H]
  Matrix<bf16> sum;           // [rows, H]; with addend
  Matrix<bf16> normed;        // [rows, H]
  Matrix<float> logits;       // [rows, E]
  RouteArgs route;            // its logits are the ones above
  SlotTable table;
  int32_t* offsets = nullptr;
  int32_t* source = nullptr;
  Matrix<int32_t> places;
};

// Whether the kernel takes them on this device: at most kMaxRoutedRows rows, whole packs of 16
// bytes, and as much shared memory as there is.
bool can_route_experts(const RouteExpertsDesc& desc, const RouteExpertsArgs& args);

void route_experts(const RouteExpertsDesc& desc, const RouteExpertsArgs& args,
                   const KernelStream& on);

}  // namespace braid::kernels::cuda
