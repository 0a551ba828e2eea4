// Multi-head latent attention over the paged cache on the GPU, in the absorbed form whatever the
// Desc asks for: the two forms differ by rounding alone.
#pragma once

#include "kernels/attention/cuda/attention.h"

namespace braid::kernels::cuda {

// Whether there is a kernel for these sizes: latents and rotated keys of 720 columns at most.
bool can_attend_latents(const MlaDesc& desc);

// q [rows, heads · (nope + rope)], cache [·, kv_lora_rank + rope], kv_b [heads · (nope + v),
// kv_lora_rank], out [rows, heads · v]. Sums in float32; a row's result depends on its own
// sequence alone. T: float, bf16.
template <typename T>
void mla_attention(const MlaDesc& desc, const PagedRows& rows, Matrix<const T> q,
                   Matrix<const T> cache, Matrix<const T> kv_b, Matrix<T> out,
                   const KernelStream& on);

}  // namespace braid::kernels::cuda
