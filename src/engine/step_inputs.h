// Fills the host's block of step inputs from a plan.
#pragma once

#include <span>

#include "engine/scheduler.h"
#include "layers/step_inputs.h"

namespace braid::engine {

// Which sequence each row with logits belongs to, in the order of the rows.
struct LogitRow {
  Sequence* sequence = nullptr;
  int32_t position = 0;  // of the token whose logits these are
  bool samples = false;  // the sequence's next token is chosen here
};

// Writes every word of the shape's layout; rows beyond the plan's are padding (sequence and slot
// −1). Without limits.all_logits only rows that sample get logits. `rank_rows`: rows_to_last() of
// every group of ranks; none where there is one group.
std::vector<LogitRow> fill_words(const Plan& plan, const layers::StepShape& shape,
                                 const layers::StepLimits& limits, int32_t page_size,
                                 std::span<int32_t> words, std::span<const int32_t> rank_rows = {});

// Of the rows that a plan samples.
layers::Sampling sampling_of(const Plan& plan);

// The number of a step's rows up to the plan's last one: the decode rows, or with rows in prefill
// the whole decode bucket and those.
int32_t rows_to_last(const Plan& plan, const layers::RowCounts& rows);

}  // namespace braid::engine
