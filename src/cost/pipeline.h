// Predicted time of row-wise work that is done chunk by chunk, so that lane comm moves the rows of
// one chunk while lane compute makes the next one's.
#pragma once

#include <span>
#include <vector>

#include "cost/cost_model.h"

namespace braid::cost {

// An op's work as a linear function of its rows.
struct RowWork {
  flow::Work each_chunk;    // what each chunk does again, such as reading the weights
  flow::Work each_row;      // what each row adds
  bool collective = false;  // a collective; else an op that computes
};
double us_of(const RowWork& work, int64_t rows, const CostModel& model);

// What is done with each chunk: first ops on lane compute, then others on lane comm.
struct Stage {
  std::vector<RowWork> compute;
  std::vector<RowWork> comm;
  // true: a chunk needs the same chunk of the stage before. false: it needs all chunks of it.
  bool continues = false;
};

// Microseconds from the start of the first stage to the end of the last. The chunks of a stage are
// issued in turn, and behind them those of the next stage. A collective delays the computation
// beside it by collective_takes of its own time, unless that computation waits for it anyway.
double pipeline_us(std::span<const Stage> stages, std::span<const int64_t> chunk_rows,
                   const CostModel& model);

}  // namespace braid::cost
