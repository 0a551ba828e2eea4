// Times of a layer's variants, taken in turn: every round runs each variant once, in a random order
// that all ranks share.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "lab/layer_rank.h"
#include "lab/paired.h"

namespace braid::lab {

// What a variant is for.
enum class VariantRole {
  serial,       // no pass: what the others are compared with
  again,        // the same once more: how much of a difference is noise
  compute,      // without collectives
  collectives,  // nothing but collectives
  passes,       // with passes
  rounded,      // with passes that round otherwise
};

struct TimedVariant {
  size_t index = 0;  // in its LayerRank
  VariantRole role = VariantRole::passes;
  std::optional<double> ceiling;  // the largest share of its collectives that can be hidden
};

struct LayerTiming {
  std::string name;
  VariantRole role = VariantRole::passes;
  Estimate seconds;
  Estimate gain;                   // seconds that it saves of serial's, by pairs
  std::optional<Estimate> hidden;  // share of the shorter one of compute and collectives
  std::optional<double> ceiling;   // as in TimedVariant
  std::string captured;
};

struct LayerBenchOptions {
  int64_t rounds = 30;
  double sample_seconds = 4e-3;  // a sample repeats runs until it is about as long
  uint64_t seed = 0;             // of the order
};

// Seconds of a run of each of `runs`, [run][round], the slowest rank's, of this process and of
// those that `control` joins. Rows have been set.
using Samples = std::vector<std::vector<double>>;
Result<Samples> sample_in_turn(std::span<const LayerRun> runs, comm::ControlPlane& control,
                               const LayerBenchOptions& options);

// (compute + collectives − both) / min(compute, collectives), round by round.
Estimate hidden_share(std::span<const double> compute, std::span<const double> collectives,
                      std::span<const double> both);
// The one with the least median, of one at least.
size_t fastest_of(std::span<const std::vector<double>> samples);

// Times `variants` of `ranks` (the ranks of this process; `control` joins those of others), all
// of one step's rows.
Result<std::vector<LayerTiming>> time_layer(LayerRanks ranks,
                                            std::span<const TimedVariant> variants,
                                            comm::ControlPlane& control,
                                            const LayerBenchOptions& options);

}  // namespace braid::lab
