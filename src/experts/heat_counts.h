// Heat: how often each expert was chosen, as the host knows it. Pure: no device, no ranks.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace braid::experts {

enum class Phase : uint8_t { decode, prefill };
inline constexpr std::array<Phase, 2> kPhases = {Phase::decode, Phase::prefill};
constexpr size_t index_of(Phase phase) { return static_cast<size_t>(phase); }
std::string_view name_of(Phase phase);

struct HeatSizes {
  int32_t layers = 0;   // layers with experts, in their order
  int32_t groups = 0;   // of ranks; each group has rows of its own
  int32_t experts = 0;  // of a layer
  bool operator==(const HeatSizes&) const = default;
};

// Counts u64 [phases, layers, groups, experts].
class Heat {
 public:
  Heat() = default;
  explicit Heat(const HeatSizes& sizes);

  const HeatSizes& sizes() const { return sizes_; }
  // [experts]
  std::span<const uint64_t> of(Phase phase, int32_t layer, int32_t group) const;
  // The sums over all groups, which a balancer plans with: [layers, experts].
  std::vector<double> of(Phase phase) const;
  // All choices of a phase.
  uint64_t total(Phase phase) const;

  // Takes over a group's counters as ranks have them: [layers, phases, experts].
  void set_group(int32_t group, std::span<const uint64_t> counters);
  void add(const Heat& other);
  // What was counted after `earlier`. `internal` where a counter became smaller.
  Result<Heat> since(const Heat& earlier) const;

  bool operator==(const Heat&) const = default;

 private:
  size_t place(Phase phase, int32_t layer, int32_t group) const;
  std::span<uint64_t> of(Phase phase, int32_t layer, int32_t group);

  HeatSizes sizes_;
  std::vector<uint64_t> counts_;
};

// Cuts counts, which only grow, into windows.
class HeatWindow {
 public:
  explicit HeatWindow(Heat start) : start_(std::move(start)) {}
  // What was counted since the last cut, or since the start. The next window starts at `now`.
  Result<Heat> cut(const Heat& now);

 private:
  Heat start_;
};

// Heat of windows in which older ones count for less: f64 [phases, layers, experts], of all groups.
class DecayedHeat {
 public:
  // A phase's heat is halved by every half_life windows that count anything in it, so that a phase
  // that pauses doesn't fade. half_life > 0.
  DecayedHeat(const HeatSizes& sizes, double half_life);

  void add(const Heat& window);
  std::span<const double> of(Phase phase) const { return heat_[index_of(phase)]; }

 private:
  HeatSizes sizes_;
  double kept_;                              // the share of the heat that a window leaves
  std::array<std::vector<double>, 2> heat_;  // per phase [layers, experts]
};

}  // namespace braid::experts
