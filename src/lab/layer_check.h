// Whether a layer's results are right: passes on and off bitwise equal, replays equal to eager
// runs, random delays harmless, and all of it close to the CPU in float32.
#pragma once

#include <span>
#include <vector>

#include "lab/layer_rank.h"

namespace braid::lab {

// ‖y − ref‖₂ / ‖ref‖₂ over all rows, and the worst row's by the same measure.
struct RelativeError {
  double all = 0;
  double worst_row = 0;
};
RelativeError relative_error(const std::vector<float>& y, const std::vector<float>& reference,
                             int64_t columns);

// All run every rank of this process. Every input comes with other row counts, where groups of
// ranks have rows of their own.

// Runs a variant on poisoned memory; the output's bytes of one rank behind the other.
Result<std::vector<std::byte>> run_poisoned(LayerRanks ranks, size_t variant);

// Error unless every variant gives the bytes of the first one, for `rounds` inputs, eagerly under
// random delays. Nothing is captured yet. Returns the number of runs compared.
Result<int64_t> check_variants(LayerRanks ranks, std::span<const size_t> variants, int64_t rounds);

// The same of replays: record_inputs() gives a variant's bytes for `rounds` inputs before the
// capture; check_replays() compares with them the replays of all variants behind it.
using Recorded = std::vector<std::vector<std::byte>>;
Result<Recorded> record_inputs(LayerRanks ranks, size_t variant, int64_t rounds);
Result<int64_t> check_replays(LayerRanks ranks, std::span<const size_t> variants,
                              const Recorded& before);

// Audits the declarations of all variants, op by op, and compares what each audit leaves with the
// first variant's bytes. Says what was audited, or why nothing was: too much memory, or several
// ranks in this process with collectives, of which none can end alone. `bytes`: audit_bytes() of
// the largest rank, so that those of all processes audit or none does.
Result<std::string> audit_variants(LayerRanks ranks, std::span<const size_t> variants,
                                   int64_t bytes);

// How far one run's output is from another's on the same input, over the real rows of all processes
// whose bytes differ.
struct LayerDifference {
  bool equal = true;  // bitwise, on all of them
  double error = 0;  // ‖after − before‖ / ‖before − input‖; NaN where the output is none
  double residual = 0;  // ‖before‖ / ‖before − input‖, as in LayerError; 0 where they are equal

  // Becomes the worse of both in everything; NaN is worse than any number.
  void worsen(const LayerDifference& other);
};
// Runs both on the inputs of `seed`, on poisoned memory; `delayed`: the second under random delays.
Result<LayerDifference> compare_runs(const LayerRun& before, const LayerRun& after, uint64_t seed,
                                     bool delayed, comm::ControlPlane& control);

// How far output − input is from that of `reference`, a float32 rank on the CPU.
struct LayerError {
  RelativeError error;
  // ‖output‖₂ / ‖output − input‖₂ of the reference: by how much rounding the residual stream counts
  // more than rounding what is added to it.
  double residual = 0;
};
// `rank` has run; `reference` runs here, with as many real rows.
Result<LayerError> compare_with(const LayerRank& rank, LayerRank& reference,
                                size_t reference_variant);

}  // namespace braid::lab
