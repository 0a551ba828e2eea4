// Routing and the movement of rows around the experts. T rows, E experts, K chosen a row.
#pragma once

#include <cstdint>

namespace braid::kernels {

enum class Score : int32_t {
  softmax,          // over all experts (DeepSeek-V2, Qwen3-MoE)
  sigmoid,          // of each logit (GLM-4.5, DeepSeek-V3)
  softmax_of_topk,  // over the chosen logits (Mixtral)
};

enum class GroupScore : int32_t { max, sum_of_top2 };

// Who chooses the experts. The replacements serve measurements with dummy weights.
enum class Choice : int32_t {
  router,
  balanced,  // row t, place k: expert (t · K + k + layer) mod E
  zipf,      // K distinct experts, drawn with the weights of `popularity` by hash(layer, row)
};

// logits [T, E] f32 → ids [T, K] i32 and weights [T, K] f32 (what multiplies each expert's output;
// the routed scaling factor is applied here and nowhere else). Selection: scores + bias; groups
// beyond the best topk_group are dropped (−inf). Ties go to the lower expert id. Padding rows
// (slot < 0) get ids −1 and weights 0. `forced` [T, K] i32, where given: a row whose first id is −1
// is not forced; any other row goes to those experts, its weights being its own scores at them.
// `heat` [2, E] u64, where given: each choice of a row that isn't padding adds 1 to its expert's
// counter, of decode (row 0) or of prefill (row 1).
struct RouteDesc {
  int32_t num_experts = 0;
  int32_t top_k = 0;
  Score score = Score::softmax;
  int32_t num_groups = 1;
  int32_t topk_groups = 1;
  GroupScore group_score = GroupScore::max;
  int32_t normalize = 0;  // divide the weights by (their sum + 1e-20)
  float scaling_factor = 1.0f;
  Choice choice = Choice::router;
  int32_t layer = 0;
  int32_t decode_rows = 0;  // the step's rows before this one are in decode, the others in prefill
};

// ids [T, K] → rows ordered by slot, then by token: offsets [num_slots + 1], source (the token of
// each grouped row), places [T, K] (where each choice went; −1 where it is not here). This rank
// holds expert first_expert + s in slot s; ids of −1 and of experts elsewhere are not here. A row's
// ids differ, so that source has at most T · min(K, num_slots) rows.
struct PermuteDesc {
  int32_t num_slots = 0;
  int32_t first_expert = 0;
};

// out[t] = Σ_k weights[t, k] · grouped[places[t, k]], added in the order of k in float32.
struct CombineDesc {};

}  // namespace braid::kernels
