// The buffers in which a rank counts how often each expert is chosen.
#pragma once

#include <cstdint>

namespace braid::layers {

// Indices of residents; −1 where nothing is counted. Each is u64 [2 · L, E] for L layers with
// experts, in their order: row 2 · l counts the choices of layer l's decode rows, row 2 · l + 1
// those of its prefill rows. Counters only grow.
struct HeatBuffers {
  int32_t counters = -1;  // the routing ops add to these
  int32_t snapshot = -1;  // the counters after a step; two copies, used in turn
  int32_t host = -1;      // the snapshot on the host; two copies

  bool present() const { return counters >= 0; }
};

}  // namespace braid::layers
