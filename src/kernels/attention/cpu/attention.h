// Paged attention on the CPU, for storage types float and bf16; sums in float32 in the order of
// positions, so results depend neither on page size, chunking nor batch.
#pragma once

#include "kernels/attention/paged_rows.h"

namespace braid::kernels::cpu {

// source [rows, cols], slots [rows], cache [·, cols].
template <typename T>
void kv_write(int64_t rows, int64_t cols, Matrix<const T> source, const int32_t* slots,
              Matrix<T> cache);

// Bytes of scratch that the two below need, for sequences of at most max_positions.
int64_t attention_scratch_bytes(const AttentionDesc& desc, int64_t max_positions);
int64_t mla_scratch_bytes(const MlaDesc& desc, int64_t max_positions);

template <typename T>
void attention(const AttentionDesc& desc, const PagedRows& rows, Matrix<const T> q,
               Matrix<const T> cache, Matrix<T> out, std::byte* scratch);

template <typename T>
void mla_attention(const MlaDesc& desc, const PagedRows& rows, Matrix<const T> q,
                   Matrix<const T> cache, Matrix<const T> kv_b, Matrix<T> out, std::byte* scratch);

}  // namespace braid::kernels::cpu
