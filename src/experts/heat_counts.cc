#include "experts/heat_counts.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace braid::experts {

std::string_view name_of(Phase phase) { return phase == Phase::decode ? "decode" : "prefill"; }

Heat::Heat(const HeatSizes& sizes)
    : sizes_(sizes),
      counts_(kPhases.size() * static_cast<size_t>(sizes.layers) *
              static_cast<size_t>(sizes.groups) * static_cast<size_t>(sizes.experts)) {}

size_t Heat::place(Phase phase, int32_t layer, int32_t group) const {
  BRAID_CHECK(0 <= layer && layer < sizes_.layers && 0 <= group && group < sizes_.groups,
              "(layer {} of {}, group {} of {})", layer, sizes_.layers, group, sizes_.groups);
  const size_t row =
      (index_of(phase) * static_cast<size_t>(sizes_.layers) + static_cast<size_t>(layer)) *
          static_cast<size_t>(sizes_.groups) +
      static_cast<size_t>(group);
  return row * static_cast<size_t>(sizes_.experts);
}

std::span<const uint64_t> Heat::of(Phase phase, int32_t layer, int32_t group) const {
  return {counts_.data() + place(phase, layer, group), static_cast<size_t>(sizes_.experts)};
}

std::span<uint64_t> Heat::of(Phase phase, int32_t layer, int32_t group) {
  return {counts_.data() + place(phase, layer, group), static_cast<size_t>(sizes_.experts)};
}

std::vector<double> Heat::of(Phase phase) const {
  std::vector<double> sums;
  for (int32_t layer = 0; layer < sizes_.layers; ++layer) {
    for (int32_t expert = 0; expert < sizes_.experts; ++expert) {
      uint64_t sum = 0;
      for (int32_t group = 0; group < sizes_.groups; ++group) {
        sum += of(phase, layer, group)[static_cast<size_t>(expert)];
      }
      sums.push_back(static_cast<double>(sum));
    }
  }
  return sums;
}

uint64_t Heat::total(Phase phase) const {
  const auto of_phase = static_cast<std::ptrdiff_t>(counts_.size() / kPhases.size());
  const auto first = counts_.begin() + static_cast<std::ptrdiff_t>(index_of(phase)) * of_phase;
  return std::accumulate(first, first + of_phase, uint64_t{0});
}

void Heat::set_group(int32_t group, std::span<const uint64_t> counters) {
  const auto experts = static_cast<size_t>(sizes_.experts);
  BRAID_CHECK(counters.size() == kPhases.size() * static_cast<size_t>(sizes_.layers) * experts,
              "({} counters)", counters.size());
  for (int32_t layer = 0; layer < sizes_.layers; ++layer) {
    for (const Phase phase : kPhases) {
      const size_t row = static_cast<size_t>(layer) * kPhases.size() + index_of(phase);
      std::copy_n(counters.begin() + static_cast<std::ptrdiff_t>(row * experts), experts,
                  of(phase, layer, group).begin());
    }
  }
}

void Heat::add(const Heat& other) {
  BRAID_CHECK(other.sizes_ == sizes_, "(heat of other sizes)");
  std::transform(counts_.begin(), counts_.end(), other.counts_.begin(), counts_.begin(),
                 std::plus<>());
}

Result<Heat> Heat::since(const Heat& earlier) const {
  BRAID_CHECK(earlier.sizes_ == sizes_, "(heat of other sizes)");
  Heat window(sizes_);
  for (size_t i = 0; i < counts_.size(); ++i) {
    if (counts_[i] < earlier.counts_[i]) {
      return Error(ErrorKind::internal, "a counter of heat has become smaller")
          .with("counter", i)
          .with("was", earlier.counts_[i])
          .with("is", counts_[i]);
    }
    window.counts_[i] = counts_[i] - earlier.counts_[i];
  }
  return window;
}

Result<Heat> HeatWindow::cut(const Heat& now) {
  Heat window = TRY(now.since(start_));
  start_ = now;
  return window;
}

DecayedHeat::DecayedHeat(const HeatSizes& sizes, double half_life)
    : sizes_(sizes), kept_(std::exp2(-1 / half_life)) {
  BRAID_CHECK(half_life > 0, "(half-life {})", half_life);
  for (std::vector<double>& heat : heat_) {
    heat.resize(static_cast<size_t>(sizes.layers) * static_cast<size_t>(sizes.experts));
  }
}

void DecayedHeat::add(const Heat& window) {
  BRAID_CHECK(window.sizes() == sizes_, "(heat of other sizes)");
  for (const Phase phase : kPhases) {
    if (window.total(phase) == 0) continue;
    const std::vector<double> more = window.of(phase);
    std::vector<double>& heat = heat_[index_of(phase)];
    for (size_t i = 0; i < heat.size(); ++i) heat[i] = heat[i] * kept_ + more[i];
  }
}

}  // namespace braid::experts
