// Predicted time of row-wise work that is done chunk by chunk, so that lane comm moves the rows of
// one chunk while lane compute makes the next one's.
#pragma once

#include <span>
#include <vector>

#include "cost/device_profile.h"

namespace braid::cost {

// An op's work as it grows with its rows: what every chunk does anew (reading weights), and what
// each row adds.
struct RowWork {
  flow::Work each_chunk;
  flow::Work each_row;
  int32_t messages = 0;  // of a collective, one behind the other; 0: an op that computes
};
double us_of(const RowWork& work, int64_t rows, const DeviceProfile& profile);

// Of each chunk: ops on lane compute, then others on lane comm.
struct Stage {
  std::vector<RowWork> compute;
  std::vector<RowWork> comm;
  // A chunk needs the same chunk of the stage before; else all of that stage.
  bool continues = false;
};

// When all stages are done, from the first one's start. Chunks of a stage are issued in turn, the
// next stage's behind them. What collectives take from computation beside them delays it; where
// computation waits for them anyway it loses nothing more.
double pipeline_us(std::span<const Stage> stages, std::span<const int64_t> chunk_rows,
                   const DeviceProfile& profile);

}  // namespace braid::cost
