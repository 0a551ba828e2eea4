// Routing, permutation and combination on the CPU.
#pragma once

#include "kernels/moe/experts_down_args.h"
#include "kernels/moe/route_args.h"

namespace braid::kernels::cpu {

int64_t route_scratch_bytes(const RouteDesc& desc);
void route(const RouteDesc& desc, const RouteArgs& args, std::byte* scratch);

// ids [rows, top_k] of experts; offsets [num_slots + 1], source [rows · (min(top_k, num_slots −
// num_shared) + num_shared)], places [rows, top_k + num_shared].
void permute(const PermuteDesc& desc, int64_t rows, int64_t top_k, Matrix<const int32_t> ids,
             const SlotTable& table, int32_t* offsets, int32_t* source, Matrix<int32_t> places);

// grouped [·, cols], places [rows, top_k + num_shared], weights [rows, top_k], out [rows, cols];
// places of −1 add nothing.
template <typename T>
void combine(const CombineDesc& desc, int64_t rows, int64_t cols, int64_t top_k,
             Matrix<const T> grouped, Matrix<const int32_t> places, Matrix<const float> weights,
             Matrix<T> out);

// grouped_gemm() into `scratch` (experts_down_scratch_bytes()), combine(), and add() of what is to
// be added: the same bits.
template <typename T>
void experts_down(const ExpertsDownDesc& desc, const ExpertsDownArgs<T>& args, std::byte* scratch);

}  // namespace braid::kernels::cpu
