#include "engine/layer_timing.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <numeric>
#include <random>

namespace braid::engine {
namespace {

using Clock = std::chrono::steady_clock;
using Samples = std::vector<std::vector<double>>;  // [variant][round], seconds a run

class Timer {
 public:
  Timer(std::span<LayerRank* const> ranks, comm::ControlPlane& control)
      : ranks_(ranks), control_(control) {}

  Result<double> sample(size_t variant, int64_t repeats) {
    TRY(control_.barrier());
    const Clock::time_point start = Clock::now();
    for (int64_t i = 0; i < repeats; ++i) {
      for (LayerRank* rank : ranks_) rank->submit(variant);
    }
    for (LayerRank* rank : ranks_) TRY(rank->wait());
    const std::chrono::duration<double> took = Clock::now() - start;
    return slowest(took.count() / static_cast<double>(repeats));
  }

  // Runs of a variant that take about `seconds`; the same number on all ranks.
  Result<int64_t> repeats(size_t variant, double seconds) {
    TRY(sample(variant, 2));  // warms up
    const double once = TRY(sample(variant, 3));
    const int64_t mine = std::clamp<int64_t>(std::llround(seconds / once), 1, 1000);
    const auto all = TRY(control_.all_gather(std::to_string(mine)));
    return std::stoll(all[0]);
  }

 private:
  // Of all ranks: a step is over when the last one is done.
  Result<double> slowest(double mine) {
    const auto all = TRY(control_.all_gather({reinterpret_cast<const char*>(&mine), sizeof(mine)}));
    for (const std::string& bytes : all) {
      double other = 0;
      std::memcpy(&other, bytes.data(), sizeof(other));
      mine = std::max(mine, other);
    }
    return mine;
  }

  std::span<LayerRank* const> ranks_;
  comm::ControlPlane& control_;
};

size_t find_role(std::span<const TimedVariant> variants, VariantRole role) {
  const auto found = std::find_if(variants.begin(), variants.end(),
                                  [role](const TimedVariant& v) { return v.role == role; });
  return static_cast<size_t>(found - variants.begin());
}

// The fastest of collectives alone; variants.size() where there is none.
size_t best_collectives(std::span<const TimedVariant> variants, const Samples& samples) {
  size_t best = variants.size();
  for (size_t i = 0; i < variants.size(); ++i) {
    if (variants[i].role != VariantRole::collectives) continue;
    if (best == variants.size() || estimate(samples[i]).median < estimate(samples[best]).median) {
      best = i;
    }
  }
  return best;
}

// (compute + collectives − both) / min(compute, collectives), round by round.
Estimate hidden_share(const Samples& samples, size_t compute, size_t collectives, size_t both) {
  std::vector<double> shares;
  for (size_t round = 0; round < samples[both].size(); ++round) {
    const double a = samples[compute][round], b = samples[collectives][round];
    shares.push_back((a + b - samples[both][round]) / std::min(a, b));
  }
  return estimate(shares);
}

}  // namespace

Result<std::vector<LayerTiming>> time_layer(std::span<LayerRank* const> ranks,
                                            std::span<const TimedVariant> variants,
                                            comm::ControlPlane& control,
                                            const LayerBenchOptions& options) {
  Timer timer(ranks, control);
  std::vector<int64_t> repeats;
  for (const TimedVariant& variant : variants) {
    repeats.push_back(TRY(timer.repeats(variant.index, options.sample_seconds)));
  }
  Samples samples(variants.size());
  std::mt19937_64 random(options.seed);
  std::vector<size_t> order(variants.size());
  std::iota(order.begin(), order.end(), 0);
  for (int64_t round = 0; round < options.rounds; ++round) {
    std::shuffle(order.begin(), order.end(), random);
    for (const size_t i : order) {
      samples[i].push_back(TRY(timer.sample(variants[i].index, repeats[i])));
    }
  }
  const size_t serial = find_role(variants, VariantRole::serial);
  const size_t compute = find_role(variants, VariantRole::compute);
  const size_t collectives = best_collectives(variants, samples);
  std::vector<LayerTiming> timings;
  for (size_t i = 0; i < variants.size(); ++i) {
    const VariantRole role = variants[i].role;
    const LayerVariant& variant = ranks.front()->variant(variants[i].index);
    LayerTiming timing{.name = variant.name,
                       .role = role,
                       .seconds = estimate(samples[i]),
                       .gain = paired_difference(samples[serial], samples[i]),
                       .hidden = {},
                       .ceiling = variants[i].ceiling,
                       .captured = variant.captured};
    const bool whole = role == VariantRole::serial || role == VariantRole::passes;
    if (whole && compute < variants.size() && collectives < variants.size()) {
      timing.hidden = hidden_share(samples, compute, collectives, i);
    }
    timings.push_back(std::move(timing));
  }
  return timings;
}

}  // namespace braid::engine
