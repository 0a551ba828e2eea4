#include "kernels/sample/cpu/sample.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/cpu/exp.h"
#include "kernels/hash.h"

namespace braid::kernels::cpu {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// kNoChoice where there is NaN, +infinity, or −infinity alone.
int32_t highest(int64_t count, const float* logits) {
  int32_t best = kNoChoice;
  float value = -kInfinity;
  bool odd = false;
  for (int64_t i = 0; i < count; ++i) {
    odd |= !(logits[i] < kInfinity);
    if (logits[i] > value) {
      value = logits[i];
      best = static_cast<int32_t>(i);
    }
  }
  return odd ? kNoChoice : best;
}

// The ids that can be drawn; most likely first once they have been cut.
struct Candidates {
  int32_t* begin;
  int32_t* end;
  double mass;  // sum of their weights

  int64_t size() const { return end - begin; }
};

// Ids of positive weight: neither −infinity nor vanishing.
Candidates collect(int64_t count, const float* weights, int32_t* ids) {
  Candidates out{ids, ids, 0};
  for (int64_t i = 0; i < count; ++i) {
    if (!(weights[i] > 0)) continue;
    *out.end++ = static_cast<int32_t>(i);
    out.mass += static_cast<double>(weights[i]);
  }
  return out;
}

// Brings the `count` most likely to the front, in order; of equals the lower id is first.
int32_t* sort_most_likely(const Candidates& ids, int64_t count, const float* logits) {
  int32_t* middle = ids.begin + std::min(count, ids.size());
  std::partial_sort(ids.begin, middle, ids.end, [logits](int32_t a, int32_t b) {
    return logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
  });
  return middle;
}

Candidates cut_top_k(const Candidates& ids, int64_t top_k, const float* logits,
                     const float* weights) {
  Candidates out{ids.begin, sort_most_likely(ids, top_k, logits), 0};
  for (const int32_t* id = out.begin; id != out.end; ++id) {
    out.mass += static_cast<double>(weights[*id]);
  }
  return out;
}

// The smallest set of at least `top_p` of the mass, and at least one. As that is mostly a few ids,
// no more are sorted than it takes.
Candidates cut_top_p(const Candidates& ids, double top_p, const float* logits,
                     const float* weights) {
  for (int64_t sorted = 64;; sorted *= 4) {
    int32_t* middle = sort_most_likely(ids, sorted, logits);
    double mass = 0;
    for (int32_t* id = ids.begin; id != middle; ++id) {
      mass += static_cast<double>(weights[*id]);
      if (mass >= top_p * ids.mass || id + 1 == ids.end) return {ids.begin, id + 1, mass};
    }
  }
}

// Without the ids of less than min_p of the highest probability, which is that of logit `top`.
// Logits are compared, not weights: dividing is monotone, so that the most likely are kept.
Candidates cut_min_p(const Candidates& ids, const SampleRow& row, float top, const float* logits,
                     const float* weights) {
  Candidates out{ids.begin, ids.begin, 0};
  const float least = std::min(row.log_min_p, 0.0f);
  for (const int32_t* id = ids.begin; id != ids.end; ++id) {
    if (!((logits[*id] - top) / row.temperature >= least)) continue;
    *out.end++ = *id;
    out.mass += static_cast<double>(weights[*id]);
  }
  return out;
}

}  // namespace

double uniform(uint64_t seed, int64_t position) {
  return unit_interval(hash(seed, static_cast<uint64_t>(position)));
}

int64_t sample_scratch_bytes(int64_t vocab_size) {
  return vocab_size * int64_t{sizeof(float) + sizeof(int32_t)};
}

int32_t sample(const SampleRow& row, int64_t vocab_size, const float* logits, std::byte* scratch) {
  const int32_t best = highest(vocab_size, logits);
  if (!(row.temperature > 0) || best == kNoChoice) return best;

  auto* weights = reinterpret_cast<float*>(scratch);
  const float top = logits[best];
  const float temperature = row.temperature;
  for (int64_t i = 0; i < vocab_size; ++i) weights[i] = exp((logits[i] - top) / temperature);
  Candidates ids = collect(vocab_size, weights, reinterpret_cast<int32_t*>(weights + vocab_size));
  if (row.top_k > 0) ids = cut_top_k(ids, row.top_k, logits, weights);
  if (row.top_p < 1) ids = cut_top_p(ids, static_cast<double>(row.top_p), logits, weights);
  if (row.log_min_p > -kInfinity) ids = cut_min_p(ids, row, top, logits, weights);

  const double point = uniform(row.seed, row.position) * ids.mass;
  double sum = 0;
  for (const int32_t* id = ids.begin; id != ids.end; ++id) {
    sum += static_cast<double>(weights[*id]);
    if (sum > point) return *id;
  }
  return ids.end[-1];  // sums rounded in another order
}

}  // namespace braid::kernels::cpu
