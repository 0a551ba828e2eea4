// Whether a layer's results are right: passes on and off bitwise equal, replays equal to eager
// runs, random delays harmless, and all of it close to the CPU in float32.
#pragma once

#include <span>
#include <vector>

#include "engine/layer_rank.h"

namespace braid::engine {

// ‖y − ref‖₂ / ‖ref‖₂ over all rows, and the worst row's by the same measure.
struct RelativeError {
  double all = 0;
  double worst_row = 0;
};
RelativeError relative_error(const std::vector<float>& y, const std::vector<float>& reference,
                             int64_t columns);

// Runs variant `variant` on poisoned memory; the output's bytes.
Result<std::vector<std::byte>> run_poisoned(LayerRank& rank, size_t variant, uint8_t poison = 0xff);

// Error unless every variant gives the bytes of the first one, for `rounds` inputs, eagerly under
// random delays. `rank` is not captured yet. Returns the number of runs compared.
Result<int64_t> check_variants(LayerRank& rank, std::span<const size_t> variants, int64_t rounds);

// The same of replays: `before` gives the first variant's bytes for `rounds` inputs, run before the
// capture, which the replays of all variants behind it are compared with.
using Recorded = std::vector<std::vector<std::byte>>;
Result<Recorded> record_inputs(LayerRank& rank, size_t variant, int64_t rounds);
Result<int64_t> check_replays(LayerRank& rank, std::span<const size_t> variants,
                              const Recorded& before);

// How far the output of `rank` is from that of `reference`,
// a float32 rank on the CPU with the same weights: of output − input.
Result<RelativeError> compare_with(LayerRank& rank, size_t variant, LayerRank& reference,
                                   size_t reference_variant);

}  // namespace braid::engine
