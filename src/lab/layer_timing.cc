#include "lab/layer_timing.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <numeric>
#include <random>

namespace braid::lab {
namespace {

using Clock = std::chrono::steady_clock;
class Timer {
 public:
  explicit Timer(comm::ControlPlane& control) : control_(control) {}

  Result<double> sample(const LayerRun& run, int64_t repeats) {
    TRY(control_.barrier());
    const Clock::time_point start = Clock::now();
    for (int64_t i = 0; i < repeats; ++i) {
      for (LayerRank* rank : run.ranks) rank->submit(run.variant);
    }
    for (LayerRank* rank : run.ranks) TRY(rank->wait());
    const std::chrono::duration<double> took = Clock::now() - start;
    return slowest(took.count() / static_cast<double>(repeats));
  }

  // Repeats of a run that take about `seconds`; the same number on all ranks.
  Result<int64_t> repeats(const LayerRun& run, double seconds) {
    TRY(sample(run, 2));  // warms up
    const double once = TRY(sample(run, 3));
    const int64_t mine = std::clamp<int64_t>(std::llround(seconds / once), 1, 1000);
    const auto all = TRY(control_.all_gather(std::to_string(mine)));
    return std::stoll(all[0]);
  }

 private:
  // The slowest rank counts: a step is over when the last one is done.
  Result<double> slowest(double mine) {
    const auto all = TRY(control_.all_gather({reinterpret_cast<const char*>(&mine), sizeof(mine)}));
    for (const std::string& bytes : all) {
      double other = 0;
      std::memcpy(&other, bytes.data(), sizeof(other));
      mine = std::max(mine, other);
    }
    return mine;
  }

  comm::ControlPlane& control_;
};

size_t find_role(std::span<const TimedVariant> variants, VariantRole role) {
  const auto found = std::find_if(variants.begin(), variants.end(),
                                  [role](const TimedVariant& v) { return v.role == role; });
  return static_cast<size_t>(found - variants.begin());
}

// The fastest of collectives alone; variants.size() where there is none.
size_t best_collectives(std::span<const TimedVariant> variants, const Samples& samples) {
  std::vector<size_t> indices;
  Samples alone;
  for (size_t i = 0; i < variants.size(); ++i) {
    if (variants[i].role != VariantRole::collectives) continue;
    indices.push_back(i);
    alone.push_back(samples[i]);
  }
  return indices.empty() ? variants.size() : indices[fastest_of(alone)];
}

}  // namespace

Result<Samples> sample_in_turn(std::span<const LayerRun> runs, comm::ControlPlane& control,
                               const LayerBenchOptions& options) {
  Timer timer(control);
  std::vector<int64_t> repeats;
  for (const LayerRun& run : runs) {
    repeats.push_back(TRY(timer.repeats(run, options.sample_seconds)));
  }
  Samples samples(runs.size());
  std::mt19937_64 random(options.seed);
  std::vector<size_t> order(runs.size());
  std::iota(order.begin(), order.end(), 0);
  for (int64_t round = 0; round < options.rounds; ++round) {
    std::shuffle(order.begin(), order.end(), random);
    for (const size_t i : order) samples[i].push_back(TRY(timer.sample(runs[i], repeats[i])));
  }
  return samples;
}

Estimate hidden_share(std::span<const double> compute, std::span<const double> collectives,
                      std::span<const double> both) {
  std::vector<double> shares;
  for (size_t round = 0; round < both.size(); ++round) {
    const double a = compute[round], b = collectives[round];
    shares.push_back((a + b - both[round]) / std::min(a, b));
  }
  return estimate(shares);
}

size_t fastest_of(std::span<const std::vector<double>> samples) {
  size_t best = 0;
  for (size_t i = 1; i < samples.size(); ++i) {
    if (estimate(samples[i]).median < estimate(samples[best]).median) best = i;
  }
  return best;
}

Result<std::vector<LayerTiming>> time_layer(LayerRanks ranks,
                                            std::span<const TimedVariant> variants,
                                            comm::ControlPlane& control,
                                            const LayerBenchOptions& options) {
  std::vector<LayerRun> runs;
  for (const TimedVariant& variant : variants) runs.push_back({ranks, variant.index});
  const Samples samples = TRY(sample_in_turn(runs, control, options));
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
    const bool whole =
        role == VariantRole::serial || role == VariantRole::passes || role == VariantRole::rounded;
    if (whole && compute < variants.size() && collectives < variants.size()) {
      timing.hidden = hidden_share(samples[compute], samples[collectives], samples[i]);
    }
    timings.push_back(std::move(timing));
  }
  return timings;
}

}  // namespace braid::lab
