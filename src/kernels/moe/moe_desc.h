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
// each grouped row), places [T, K] (where each choice went; −1 where it is not here). Of all ranks'
// slots this one has first_slot … first_slot + num_slots − 1; ids of −1 and what goes to other
// slots are not here. The last num_shared slots are no expert's by choice: every row goes to each
// of them, as if it were choice K, K + 1, … (places [T, K + num_shared]). A row's ids differ, so
// that source has at most T · (min(K, num_slots − num_shared) + num_shared) rows.
struct PermuteDesc {
  int32_t num_slots = 0;
  int32_t first_slot = 0;
  int32_t num_shared = 0;
};

// The slots of every expert's replicas [E, replicas], at least one each, −1 behind the last.
// Without a table expert e lies in slot e.
struct SlotTable {
  const int32_t* slots = nullptr;
  int32_t replicas = 0;
};

// Where row t goes that chooses an expert: to replica t mod their number, on all ranks alike.
constexpr int32_t slot_of(const SlotTable& table, int32_t expert, int32_t row) {
  if (table.slots == nullptr) return expert;
  const int32_t* const slots = table.slots + static_cast<int64_t>(expert) * table.replicas;
  int32_t count = 1;
  while (count < table.replicas && slots[count] >= 0) ++count;
  return slots[row % count];
}

// The slot among this rank's; −1 where it is not here, and for an id of −1.
constexpr int32_t local_slot(const PermuteDesc& desc, const SlotTable& table, int32_t expert,
                             int32_t row) {
  if (expert < 0) return -1;
  const int32_t slot = slot_of(table, expert, row) - desc.first_slot;
  return slot >= 0 && slot < desc.num_slots - desc.num_shared ? slot : -1;
}

// The same of choice k ≥ top_k.
constexpr int32_t shared_slot(const PermuteDesc& desc, int32_t k, int32_t top_k) {
  return desc.num_slots - desc.num_shared + k - top_k;
}

// out[t] = Σ_k weights[t, k] · grouped[places[t, k]], added in the order of k in float32; the
// places behind weights' columns have the weight 1: shared experts.
struct CombineDesc {
  int32_t num_shared = 0;
};

// The experts' second product, its combination and what is added to that:
// out[t] = (Σ_k weights[t, k] · (x[places[t, k]] · W[slot]ᵀ) + shared[t]) + residual[t], where
// shared and residual may be absent. Each product, the sum over k and both sums behind it are
// rounded to the storage format, as by GroupedGemmDesc, CombineDesc and AddDesc. x [rows, K], W
// [num_slots · N, K], out [T, N]; rows of slot s are [offsets[s], offsets[s + 1]).
struct ExpertsDownDesc {
  int32_t num_slots = 0;
  int32_t num_shared = 0;  // as in CombineDesc
  int32_t tuned_rows = 0;  // as in GroupedGemmDesc
  int32_t tokens = 0;
};

}  // namespace braid::kernels
