// Schedule: a compiled Program. Immutable, printable; the executors run it, the checker proves it.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "base/inline_vector.h"
#include "flow/overlap.h"
#include "flow/program.h"

namespace braid::flow {

// A step-lifetime piece of the workspace: bytes [offset, offset + bytes) of the arena.
struct Extent {
  int64_t offset = -1;  // -1: not in the workspace
  int64_t bytes = 0;
};

// Residents that a Schedule touches, for checks across steps.
struct SummaryEntry {
  int32_t resident = -1;
  int32_t owner = -1;
  int32_t copies = 1;
  int64_t first = 0;  // buffer rows
  int64_t last = 0;
  bool read = false;
  bool written = false;
};

// Waits of one op: at most one op of every other lane.
using Waits = InlineVector<int32_t, kNumLanes>;

struct Schedule {
  Program program;
  std::array<std::vector<int32_t>, kNumLanes> lanes;  // op indices, in issue order
  std::vector<Waits> waits;             // per op: ops of other lanes that must have ended before it
  std::vector<Succession> successions;  // per op: how it stands to the op before it on its lane
  std::vector<Extent> buffers;  // per buffer: its place in the workspace (step buffers only)
  std::vector<Extent> scratch;  // per op: the kernel's own scratch memory in the workspace
  int64_t workspace_bytes = 0;
  std::vector<SummaryEntry> summary;

  int64_t wait_count() const;
  // Ops that may be launched while the op before them still runs.
  int64_t follow_count() const;
  // Lanes with ops on them.
  int lanes_used() const;
  // One line an op: lane, waits, what it does. For --explain and test failures.
  std::string to_string() const;
};

}  // namespace braid::flow
