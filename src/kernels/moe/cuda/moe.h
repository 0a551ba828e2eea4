// Routing, permutation and combination on the GPU: bit for bit what the CPU gives for the same
// operands.
#pragma once

#include "kernels/cuda/kernel_stream.h"
#include "kernels/cuda/matrix.h"
#include "kernels/moe/experts_down_args.h"
#include "kernels/moe/route_args.h"

namespace braid::kernels::cuda {

inline constexpr int32_t kMaxRouteExperts = 1024;
inline constexpr int32_t kMaxTopK = 32;
inline constexpr int32_t kMaxPermuteSlots = 1024;

// E ≤ kMaxRouteExperts, K ≤ kMaxTopK.
void route(const RouteDesc& desc, const RouteArgs& args, const KernelStream& on);

// ids [rows, top_k] of experts; offsets [num_slots + 1], source [rows · (min(top_k, num_slots −
// num_shared) + num_shared)], places [rows, top_k + num_shared]. num_slots ≤ kMaxPermuteSlots.
void permute(const PermuteDesc& desc, int64_t rows, int64_t top_k, Matrix<const int32_t> ids,
             const SlotTable& table, int32_t* offsets, int32_t* source, Matrix<int32_t> places,
             const KernelStream& on);

// grouped [·, cols], places [rows, top_k + num_shared], weights [rows, top_k], out [rows, cols];
// places of −1 add nothing. To each sum, rounded, `addends` are added one after the other, each sum
// rounded. T: float, bf16. May overlap the kernel before it.
template <typename T>
void combine(const CombineDesc& desc, int64_t rows, int64_t cols, int64_t top_k,
             Matrix<const T> grouped, Matrix<const int32_t> places, Matrix<const float> weights,
             Matrix<T> out, const KernelStream& on, const Addends<T>& addends = {});

}  // namespace braid::kernels::cuda
