#include <algorithm>
#include <limits>

#include "base/status.h"
#include "kernels/cpu/exp.h"
#include "kernels/cpu/lanes.h"
#include "kernels/cpu/softmax.h"
#include "kernels/hash.h"
#include "kernels/moe/cpu/moe.h"

namespace braid::kernels::cpu {
namespace {

constexpr float kDropped = -std::numeric_limits<float>::infinity();

// One row's intermediate results.
struct RowScratch {
  float* scores;     // [E], what weights are taken from
  float* selection;  // [E], what experts are chosen by
  float* groups;     // [groups]
  uint8_t* taken;    // [max(E, groups)]
};

RowScratch split(const RouteDesc& desc, std::byte* scratch) {
  RowScratch out;
  out.scores = reinterpret_cast<float*>(scratch);
  out.selection = out.scores + desc.num_experts;
  out.groups = out.selection + desc.num_experts;
  out.taken = reinterpret_cast<uint8_t*>(out.groups + desc.num_groups);
  return out;
}

void score(const RouteDesc& desc, const float* logits, float* scores) {
  const int64_t count = desc.num_experts;
  switch (desc.score) {
    case Score::softmax: return softmax(1.0f, count, logits, scores);
    case Score::sigmoid:
      for (int64_t e = 0; e < count; ++e) scores[e] = sigmoid(logits[e]);
      return;
    case Score::softmax_of_topk: std::copy_n(logits, count, scores); return;
  }
}

// The index of the highest value that isn't taken yet, the lowest index of equals; takes it.
// A NaN stays where it is met first, so the result is always an index that was free.
int64_t take_highest(const float* values, int64_t count, uint8_t* taken) {
  int64_t best = -1;
  for (int64_t i = 0; i < count; ++i) {
    if (taken[i] == 0 && (best < 0 || values[i] > values[best])) best = i;
  }
  taken[best] = 1;
  return best;
}

float group_score(GroupScore kind, const float* values, int64_t count) {
  float first = kDropped;
  float second = kDropped;
  for (int64_t i = 0; i < count; ++i) {
    if (values[i] > first) {
      second = first;
      first = values[i];
    } else if (values[i] > second) {
      second = values[i];
    }
  }
  return kind == GroupScore::max || count == 1 ? first : first + second;
}

// Drops the experts of all but the best groups.
void limit_groups(const RouteDesc& desc, const RowScratch& row) {
  const int64_t size = desc.num_experts / desc.num_groups;
  for (int64_t g = 0; g < desc.num_groups; ++g) {
    row.groups[g] = group_score(desc.group_score, row.selection + g * size, size);
  }
  std::fill_n(row.taken, desc.num_groups, uint8_t{0});
  for (int64_t i = 0; i < desc.topk_groups; ++i) {
    take_highest(row.groups, desc.num_groups, row.taken);
  }
  for (int64_t g = 0; g < desc.num_groups; ++g) {
    if (row.taken[g] == 0) std::fill_n(row.selection + g * size, size, kDropped);
  }
}

void choose_by_scores(const RouteDesc& desc, const float* bias, const RowScratch& row,
                      int32_t* ids) {
  for (int64_t e = 0; e < desc.num_experts; ++e) {
    row.selection[e] = bias == nullptr ? row.scores[e] : row.scores[e] + bias[e];
  }
  if (desc.num_groups > 1) limit_groups(desc, row);
  std::fill_n(row.taken, desc.num_experts, uint8_t{0});
  for (int64_t k = 0; k < desc.top_k; ++k) {
    ids[k] = static_cast<int32_t>(take_highest(row.selection, desc.num_experts, row.taken));
  }
}

// Draws without replacement: an expert that is drawn again is drawn anew, and after kAttempts the
// next free one is taken, so the work is bounded however skewed the popularity.
void choose_by_popularity(const RouteDesc& desc, const float* cumulative, int64_t row_index,
                          const RowScratch& row, int32_t* ids) {
  constexpr uint64_t kAttempts = 64;
  const int64_t count = desc.num_experts;
  const uint64_t key = hash(static_cast<uint64_t>(desc.layer), static_cast<uint64_t>(row_index));
  std::fill_n(row.taken, count, uint8_t{0});
  for (int64_t k = 0; k < desc.top_k; ++k) {
    int64_t expert = 0;
    for (uint64_t attempt = 0; attempt < kAttempts; ++attempt) {
      const uint64_t counter = static_cast<uint64_t>(k) * kAttempts + attempt;
      const double point = unit_interval(hash(key, counter)) * double{cumulative[count - 1]};
      const float* found = std::upper_bound(cumulative, cumulative + count, point);
      expert = std::min<int64_t>(found - cumulative, count - 1);
      if (row.taken[expert] == 0) break;
    }
    while (row.taken[expert] != 0) expert = (expert + 1) % count;
    row.taken[expert] = 1;
    ids[k] = static_cast<int32_t>(expert);
  }
}

// Whether the row's experts are forced: its first forced id is no −1.
bool choose_forced(const RouteDesc& desc, const RouteArgs& args, int64_t t, int32_t* ids) {
  if (args.forced.data == nullptr || args.forced.row(t)[0] < 0) return false;
  for (int64_t k = 0; k < desc.top_k; ++k) {
    ids[k] = args.forced.row(t)[k];
    BRAID_CHECK(ids[k] >= 0 && ids[k] < desc.num_experts, "forced expert {} of {}", ids[k],
                desc.num_experts);
  }
  return true;
}

void choose(const RouteDesc& desc, const RouteArgs& args, int64_t t, const RowScratch& row,
            int32_t* ids) {
  if (choose_forced(desc, args, t, ids)) return;
  const int64_t index = args.first_row + t;
  switch (desc.choice) {
    case Choice::router: return choose_by_scores(desc, args.bias, row, ids);
    case Choice::balanced:
      for (int64_t k = 0; k < desc.top_k; ++k) {
        ids[k] = static_cast<int32_t>((index * desc.top_k + k + desc.layer) % desc.num_experts);
      }
      return;
    case Choice::zipf: return choose_by_popularity(desc, args.popularity, index, row, ids);
  }
}

// The scores at ids, as the Desc wants them.
void weigh(const RouteDesc& desc, const float* scores, const int32_t* ids, float* weights) {
  const int64_t count = desc.top_k;
  for (int64_t k = 0; k < count; ++k) weights[k] = scores[ids[k]];
  if (desc.score == Score::softmax_of_topk) softmax(1.0f, count, weights, weights);
  if (desc.normalize != 0) {
    const float sum = sum_terms(count, [weights](int64_t k) { return weights[k]; }) + 1e-20f;
    for (int64_t k = 0; k < count; ++k) weights[k] /= sum;
  }
  for (int64_t k = 0; k < count; ++k) weights[k] *= desc.scaling_factor;
}

void count(const RouteDesc& desc, const RouteArgs& args, int64_t t, const int32_t* ids) {
  uint64_t* heat = args.heat.row(args.first_row + t < desc.decode_rows ? 0 : 1);
  for (int64_t k = 0; k < desc.top_k; ++k) ++heat[ids[k]];
}

void check(const RouteDesc& desc, const RouteArgs& args) {
  BRAID_CHECK(desc.top_k >= 1 && desc.top_k <= desc.num_experts, "top_k {} num_experts {}",
              desc.top_k, desc.num_experts);
  BRAID_CHECK(desc.num_groups >= 1 && desc.num_experts % desc.num_groups == 0 &&
                  desc.topk_groups >= 1 && desc.topk_groups <= desc.num_groups,
              "num_groups {} topk_groups {}", desc.num_groups, desc.topk_groups);
  BRAID_CHECK(desc.choice != Choice::zipf || args.popularity != nullptr);
}

}  // namespace

int64_t route_scratch_bytes(const RouteDesc& desc) {
  const int64_t floats = 2 * int64_t{desc.num_experts} + desc.num_groups;
  return floats * int64_t{sizeof(float)} + desc.num_experts;
}

void route(const RouteDesc& desc, const RouteArgs& args, std::byte* scratch) {
  check(desc, args);
  const RowScratch row = split(desc, scratch);
  for (int64_t t = 0; t < args.rows; ++t) {
    int32_t* ids = args.ids.row(t);
    float* weights = args.weights.row(t);
    if (args.slots[t] < 0) {
      std::fill_n(ids, desc.top_k, -1);
      std::fill_n(weights, desc.top_k, 0.0f);
      continue;
    }
    score(desc, args.logits.row(t), row.scores);
    choose(desc, args, t, row, ids);
    if (args.heat.data != nullptr) count(desc, args, t, ids);
    weigh(desc, row.scores, ids, weights);
  }
}

}  // namespace braid::kernels::cpu
