// Attention over a paged cache. A row is one query token: its sequence, its position. It attends
// to positions 0 … its own of its sequence, all of which are in the cache by then. Position p of
// sequence s lies in cache row block_table[s, p / page_size] · page_size + p % page_size.
#pragma once

#include <cstdint>

namespace braid::kernels {

// cache[slots[t]] = source[t] for every row with slots[t] ≥ 0.
struct KvWriteDesc {};

// Grouped-query attention. q, out [T, heads · head_dim]; cache row: K then V, each
// [kv_heads · head_dim]. Rows of sequence −1 (padding) give zeros.
struct AttentionDesc {
  int32_t num_heads = 0;
  int32_t num_kv_heads = 0;
  int32_t head_dim = 0;
  int32_t page_size = 0;
  float scale = 1.0f;
};

// Which way multi-head latent attention is computed; same result up to rounding.
enum class MlaForm : int32_t {
  absorbed,  // q_nope · W_UK against the latents, then the weighted latent · W_UV
  expanded,  // keys and values of every cached position are computed from its latent
};

// Multi-head latent attention. q [T, heads · (nope + rope)], out [T, heads · v_head_dim], cache
// row: latent [kv_lora_rank], rotated key [rope]; kv_b [heads · (nope + v), kv_lora_rank].
struct MlaDesc {
  int32_t num_heads = 0;
  int32_t kv_lora_rank = 0;
  int32_t nope_dim = 0;
  int32_t rope_dim = 0;
  int32_t v_head_dim = 0;
  int32_t page_size = 0;
  float scale = 1.0f;
  MlaForm form = MlaForm::absorbed;
};

}  // namespace braid::kernels
